"""The threads that run a model, which leave the CPUs to those who answer. What they run is their caller's business."""

import os
import sys
import threading
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress

# Its share of a busy CPU is a third of another thread's (sched(7)).
BEHIND = 5
LAST = 19


class ModelThreads:
    """One thread for loading, warming and running one model; with streams, as many more for runs beside each other.

    Event loops of this service on this machine, the ingress's above all, go before these: what they do is short, and
    thousands of clients may wait for it. Threads that a backend starts from one of them stand where it does. Linux
    only, where niceness is a thread's own; elsewhere they are threads like any other.

    Attributes:
        alone: For what has the model to itself: always the same thread, which the backend's own ones find soonest.
        slots: For `streams` runs at once. With one stream it is the same as `alone`.
    """

    def __init__(self) -> None:
        self.streams = 1
        self.exclusive: Executor = _threads(1)
        self.slots = self.exclusive

    def widen(self, streams: int) -> None:
        """From now on so many runs at once."""
        if streams > 1:
            self.streams, self.slots = streams, _threads(streams)


def _threads(count: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(count, "model", initializer=_stand_behind)


def _stand_behind() -> None:
    if sys.platform == "linux":
        thread = threading.get_native_id()
        with suppress(OSError):  # where a sandbox forbids it, it stands where it stood
            os.setpriority(os.PRIO_PROCESS, thread, min(LAST, os.getpriority(os.PRIO_PROCESS, thread) + BEHIND))
