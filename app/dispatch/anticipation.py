"""Anticipatory scheduling (Iyer and Druschel, SOSP 2001): who was just answered is likely to ask again at once.

Of clients that send in a loop the first to come back would have a call to himself, and those behind him would wait for
the next. Where receivers are busy anyway, he is held for a moment, so that they go together. Knows neither calls nor
what they carry.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

# Of what the last call took: nobody is held for somebody who comes later than that after the one before him.
PATIENCE = 1 / 8
LEAST_S = 1e-3  # timers are no finer


def call_later(seconds: float, callback: Callable[[], None]) -> object:
    return asyncio.get_running_loop().call_later(seconds, callback)


@dataclass(slots=True, eq=False)
class Anticipation:
    """`release` is called when what was held need not be held any longer; `later` calls back on the clock's time."""

    release: Callable[[], None]
    clock: Callable[[], float]
    later: Callable[[float, Callable[[], None]], object] = call_later
    _crowd: int = field(init=False, default=0)
    _patience_s: float = field(init=False, default=0.0)
    _answered_at: float = field(init=False, default=0.0)
    _is_timed: bool = field(init=False, default=False)

    def answered(self, crowd: int, seconds: float) -> None:
        """A call that took so long is answered. `crowd`: items that wait or were under way until now, its own too."""
        self._crowd = crowd
        self._patience_s = PATIENCE * seconds
        self._answered_at = self.clock()

    def holds(self, waiting: int, newest: float, calls: int) -> bool:
        """Whether so many items, the newest of that time, had better wait until they are an even part, in so many
        calls, of those who were there when the last was answered."""
        left = max(newest, self._answered_at) + self._patience_s - self.clock()
        if left <= 0 or waiting >= -(-self._crowd // calls):
            return False
        if not self._is_timed:
            self._is_timed = True
            self.later(max(left, LEAST_S), self._over)
        return True

    def _over(self) -> None:
        self._is_timed = False
        self.release()
