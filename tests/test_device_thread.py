"""Where a model's thread stands among the others."""

import os
import sys
import threading

import pytest

from app.device_thread import BEHIND, LAST, device_thread


def niceness() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere niceness is a process's")
def test_the_models_thread_and_what_it_starts_stand_behind_the_event_loop() -> None:
    found: list[int] = []
    with device_thread() as device:

        def start_another() -> int:
            other = threading.Thread(target=lambda: found.append(niceness()))
            other.start()
            other.join()
            return niceness()

        own = device.submit(start_another).result()
    assert (own, found) == (min(LAST, niceness() + BEHIND), [own])
    assert BEHIND > 0
