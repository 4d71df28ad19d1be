"""A sleep that ends early."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import pytest

from app.system.doze import Doze

LONG_S = 30.0


def a_child_ends(doze: Doze) -> None:
    subprocess.run([sys.executable, "-c", ""], check=True)


def a_signal_comes(doze: Doze) -> None:
    os.kill(os.getpid(), signal.SIGUSR1)


def a_thread_says_so(doze: Doze) -> None:
    thread = threading.Thread(target=doze.wake)
    thread.start()
    thread.join()


@pytest.mark.parametrize("event", [a_child_ends, a_signal_comes, a_thread_says_so])
def test_it_ends_at_once_and_the_next_one_lasts(event: Callable[[Doze], None]) -> None:
    former = signal.signal(signal.SIGUSR1, lambda number, frame: None)
    began = time.monotonic()
    try:
        with Doze() as doze:
            event(doze)
            doze.sleep(LONG_S)
            slept = time.monotonic() - began
            doze.sleep(0.05)
            assert time.monotonic() - began - slept >= 0.04
    finally:
        signal.signal(signal.SIGUSR1, former)
    assert slept < LONG_S / 2


def test_what_was_set_before_is_set_again() -> None:
    handler = signal.getsignal(signal.SIGCHLD)
    with Doze() as doze:
        assert signal.getsignal(signal.SIGCHLD) is not handler
    assert signal.getsignal(signal.SIGCHLD) is handler
    assert signal.set_wakeup_fd(-1) == -1
    doze.wake()  # whoever still holds it
