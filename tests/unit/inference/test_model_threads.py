"""Where a model's threads stand among the others, and how many there are."""

import os
import sys
import threading
from concurrent.futures import Executor

import pytest

from app.inference.model_threads import BEHIND, LAST, ModelThreads


def niceness() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


def threads_of(executor: Executor, runs: int) -> set[int]:
    """The threads of so many runs, which wait for each other."""
    together = threading.Barrier(runs)

    def run() -> int:
        together.wait(10)
        return threading.get_ident()

    return {each.result() for each in [executor.submit(run) for _ in range(runs)]}


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere niceness is a process's")
@pytest.mark.parametrize("executor", ["exclusive", "slots"])
def test_the_models_threads_and_what_they_start_stand_behind_the_event_loop(executor: str) -> None:
    found: list[int] = []
    threads = ModelThreads()
    threads.widen(2)

    def start_another() -> int:
        other = threading.Thread(target=lambda: found.append(niceness()))
        other.start()
        other.join()
        return niceness()

    own = getattr(threads, executor).submit(start_another).result()
    assert (own, found) == (min(LAST, niceness() + BEHIND), [own])
    assert BEHIND > 0


def test_one_stream_is_one_thread_for_everything() -> None:
    threads = ModelThreads()
    threads.widen(1)
    assert (threads.streams, threads.slots) == (1, threads.exclusive)
    assert len(threads_of(threads.exclusive, 1)) == 1


def test_streams_have_a_thread_each_beside_the_one_for_exclusive_runs() -> None:
    threads = ModelThreads()
    threads.widen(3)
    slots, exclusive = threads_of(threads.slots, 3), threads_of(threads.exclusive, 1)
    assert (threads.streams, len(slots | exclusive)) == (3, 4)
