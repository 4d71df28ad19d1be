"""The threads that run a model. They have a lower priority than the event loops."""

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

# Its share of a busy CPU is a third of another thread's (sched(7)).
BEHIND = 5
LAST = 19


class ModelThreads:
    """One thread for loading, warming and running one model; with several streams, one more for each.

    The event loops on this machine go first, the ingress's above all: their work is short, and thousands of clients
    may wait for it. Threads that a backend starts from one of these inherit its priority. Linux only.

    Attributes:
        exclusive: For loading and exclusive runs: always the same thread, so that the backend reuses its own threads.
        slots: For `streams` runs at once. With one stream it is the same as `exclusive`.
    """

    def __init__(self) -> None:
        self.streams = 1
        self.exclusive = self.slots = _threads(1)

    def widen(self, streams: int) -> None:
        """Allow so many runs at once."""
        if streams > 1:
            self.streams, self.slots = streams, _threads(streams)


def _threads(count: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(count, "model", initializer=_lower_priority)


def _lower_priority() -> None:
    if sys.platform == "linux":
        thread = threading.get_native_id()
        with suppress(OSError):  # a sandbox may forbid it
            os.setpriority(os.PRIO_PROCESS, thread, min(LAST, os.getpriority(os.PRIO_PROCESS, thread) + BEHIND))
