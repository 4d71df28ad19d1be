"""How much may be tried again: a token bucket that first attempts fill, so that a dying cluster is not hammered."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from app.config.args import RetryArgs


@dataclass(slots=True, eq=False)
class RetryBudget:
    """One per process, over all its models. Counts items.

    Args:
        args: Share, floor and size of the bucket, which is full at first.
        clock: Seconds.
    """

    args: RetryArgs
    clock: Callable[[], float] = time.monotonic
    _level: float = field(init=False)
    _at: float = field(init=False)

    def __post_init__(self) -> None:
        self._level, self._at = float(self.args.burst), self.clock()

    def earn(self, items: int) -> None:
        """So many were sent for the first time."""
        self._level = min(self.args.burst, self._level + self.args.share * items)

    def spend(self) -> bool:
        """Whether one more item may be tried again; it counts then."""
        now = self.clock()
        self._level = min(self.args.burst, self._level + self.args.per_s * (now - self._at))
        self._at = now
        if self._level < 1:
            return False
        self._level -= 1
        return True
