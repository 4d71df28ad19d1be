"""The thread that runs a model, which leaves the CPUs to those who answer. What it runs is its caller's business."""

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

# Its share of a busy CPU is a third of another thread's (sched(7)).
BEHIND = 5
LAST = 19


def device_thread() -> ThreadPoolExecutor:
    """An executor of one thread, for loading, warming and every run of one model.

    Event loops of this service on this machine, the ingress's above all, go before it: what they do is short, and
    thousands of clients may wait for it. Threads that a backend starts from this one stand where it does. Linux only,
    where niceness is a thread's own; elsewhere it is a thread like any other.
    """
    return ThreadPoolExecutor(1, "model", initializer=_stand_behind)


def _stand_behind() -> None:
    if sys.platform == "linux":
        thread = threading.get_native_id()
        with suppress(OSError):  # where a sandbox forbids it, it stands where it stood
            os.setpriority(os.PRIO_PROCESS, thread, min(LAST, os.getpriority(os.PRIO_PROCESS, thread) + BEHIND))
