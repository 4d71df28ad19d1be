"""A sleep that ends with a signal, the end of a child process or a word from another thread."""

import select
import signal
import socket
from contextlib import suppress
from types import TracebackType
from typing import Self


class Doze:
    """Of the main thread, within `with`. Python itself goes on sleeping once a signal's handler has run (PEP 475)."""

    def __enter__(self) -> Self:
        self._ear, self._bell = socket.socketpair()
        self._ear.setblocking(False)
        self._bell.setblocking(False)
        self._former = signal.set_wakeup_fd(self._bell.fileno(), warn_on_full_buffer=False)
        # A signal that nobody handles is not told.
        self._of_children = signal.signal(signal.SIGCHLD, lambda number, frame: None)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        signal.set_wakeup_fd(self._former)
        signal.signal(signal.SIGCHLD, self._of_children)
        self._ear.close()
        self._bell.close()

    def wake(self) -> None:
        """From any thread: the sleep of now, or the next one, ends at once."""
        with suppress(OSError):  # full of earlier words, or closed
            self._bell.send(b"\0")

    def sleep(self, seconds: float) -> None:
        """At most so long."""
        select.select([self._ear], [], [], seconds)
        with suppress(BlockingIOError):
            while self._ear.recv(4096):
                pass
