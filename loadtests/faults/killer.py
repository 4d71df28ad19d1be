"""Kills processes on schedule, in a thread of its own, and counts those that are dead by its hand."""

import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import psutil

from loadtests.faults.processes import is_alive, title

POLL_S = 0.2
DYING_S = 5.0
# Once the load has ended: how long the last victim's successor is waited for.
LAST_RECOVERY_S = 60.0


@dataclass(slots=True)
class Kill:
    """One. `at`: monotonic seconds of the signal; `back_s`: until its place was seen filled, if it ever was."""

    at: float
    pid: int
    title: str
    back_s: float | None = None


class Killer:
    """Use it with `with`; the thread ends there.

    Args:
        victims: Processes that may be killed now; none until the last one's successor serves, where that is meant.
        asked: It kills so many and no more.
        every_s: At least so long between two kills; 0: as soon as there is a victim again.
        is_whole: Whether everything is as it was before the first kill; tells how long it took.
        strike: Does it, and says whether it is done; by default SIGKILL, and the process is gone.
    """

    def __init__(
        self,
        victims: Callable[[], Sequence[psutil.Process]],
        asked: int,
        every_s: float,
        is_whole: Callable[[], bool],
        strike: Callable[[psutil.Process], bool] | None = None,
        seed: int = 1,
    ) -> None:
        self.kills: list[Kill] = []
        self.asked = asked
        self._victims = victims
        self._every_s = every_s
        self._is_whole = is_whole
        self._strike = strike or slay
        self._pick = random.Random(seed)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._error: Exception | None = None

    @property
    def is_done(self) -> bool:
        """Whether it killed what was asked, and the last was replaced; or it can't go on."""
        enough = len(self.kills) >= self.asked and (not self.kills or self.kills[-1].back_s is not None)
        return enough or self._error is not None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(DYING_S + LAST_RECOVERY_S)
        if self._error is not None and error is None:
            raise self._error

    def _run(self) -> None:
        try:
            next_at = time.monotonic() + self._every_s
            while not self._stop.wait(POLL_S):
                self._look_back()
                if len(self.kills) < self.asked and time.monotonic() >= next_at and self._kill_one():
                    # By the schedule, not by when the last one fell: the pace is held.
                    next_at = max(next_at + self._every_s, time.monotonic())
        except Exception as error:  # noqa: BLE001 - told by `with`, which waits in another thread
            self._error = error

    def _look_back(self) -> None:
        if self.kills and self.kills[-1].back_s is None and self._is_whole():
            self.kills[-1].back_s = time.monotonic() - self.kills[-1].at

    def _kill_one(self) -> bool:
        """Whether one is dead now that was alive before."""
        victims = [process for process in self._victims() if is_alive(process)]
        if not victims:
            return False
        # There may be a victim since a moment ago because the last one's place was filled in that moment.
        self._look_back()
        victim = self._pick.choice(victims)
        name, at = title(victim), time.monotonic()
        if not self._strike(victim):
            return False
        self.kills.append(Kill(at, victim.pid, name))
        return True


def slay(victim: psutil.Process) -> bool:
    """SIGKILL; whether the process was there, and is dead."""
    try:
        victim.kill()
    except psutil.NoSuchProcess:
        return False
    give_up = time.monotonic() + DYING_S
    while is_alive(victim):
        if time.monotonic() > give_up:
            return False
        time.sleep(0.01)
    return True
