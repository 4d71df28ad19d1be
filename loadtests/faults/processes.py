"""The processes of the service under test, by their titles: never those of another."""

import time
from collections.abc import Callable
from contextlib import suppress

import psutil

MARK = "TEST_SERVICE"
REPLICA = "ray::ServeReplica:embedding-service:"
# What Ray adds to a replica's title until it may take traffic.
STARTING = "initialize"
# Between its constructor and that, a replica's title is for a moment what it is when it takes traffic.
SETTLED_S = 2.0
YOUNG_S = 5.0
# A look at every process of the machine costs tens of milliseconds, of those that send the load beside it.
LOOK_EVERY_S = 0.5


class Processes:
    """Those whose environment has the mark of one service.

    Args:
        mark: The value of TEST_SERVICE that the service was started with.
    """

    def __init__(self, mark: str) -> None:
        self._mark = mark
        # What was read once: this is asked many times a second, beside the load.
        self._ours: dict[tuple[int, float], bool] = {}
        self._replica_since: dict[tuple[int, float], float] = {}
        self._looked_at = float("-inf")
        self._seen: list[psutil.Process] = []

    def all(self) -> list[psutil.Process]:
        return self._where(lambda _: True)

    def titled(self, start: str) -> list[psutil.Process]:
        """Whose title begins so: Ray names a process after its actor."""
        return self._where(lambda process: title(process).startswith(start))

    def serving(self, deployment: str) -> list[psutil.Process]:
        """Replicas that take traffic. One counts from its second look on, a while after the first."""
        return self._where(lambda each: _is_replica(each, deployment) and self._serves(each))

    def named(self, name: str) -> list[psutil.Process]:
        """Of this program, as the kernel calls it: `raylet`, `haproxy`."""
        return self._where(lambda process: process.name() == name)

    def _serves(self, process: psutil.Process) -> bool:
        since = self._replica_since.setdefault((process.pid, process.create_time()), time.monotonic())
        is_settled = time.monotonic() - since >= SETTLED_S
        return is_settled and STARTING not in title(process) and process.status() != psutil.STATUS_STOPPED

    def _where(self, condition: Callable[[psutil.Process], bool]) -> list[psutil.Process]:
        found = []
        for process in self._look():
            try:
                if condition(process) and is_alive(process):
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def _look(self) -> list[psutil.Process]:
        """Ours, of a moment ago: those that ended since are among them."""
        now = time.monotonic()
        if now - self._looked_at >= LOOK_EVERY_S:
            seen = []
            for process in psutil.process_iter():
                with suppress(psutil.Error):
                    if self._is_ours(process):
                        seen.append(process)
            self._seen, self._looked_at = seen, now
        return self._seen

    def _is_ours(self, process: psutil.Process) -> bool:
        # psutil keeps its objects, and they their times: this costs nothing for those that are known.
        key = (process.pid, process.create_time())
        if (known := self._ours.get(key)) is not None:
            return known
        ours = process.environ().get(MARK) == self._mark
        # A forked process has its parent's until it executes: the "no" of a young one may become "yes".
        if ours or time.time() - process.create_time() > YOUNG_S:
            self._ours[key] = ours
        return ours


def _is_replica(process: psutil.Process, deployment: str) -> bool:
    return title(process).startswith(REPLICA + deployment)


def title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline()).strip()
    except psutil.Error:
        return ""


def is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False
