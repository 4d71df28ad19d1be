"""An item that waits for its result, while calls of many items are made, lost and made again."""

import asyncio
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


@dataclass(slots=True, eq=False)
class Pending(Generic[T, R]):
    """`ends`: its deadline, on the clock of whoever works on it. `units`: what it costs."""

    item: T
    result: "asyncio.Future[R]"
    ends: float
    units: int = 0

    def resolve(self, outcome: R | Exception) -> None:
        """Leaves a future alone that is done, as one that was cancelled is."""
        if self.result.done():
            return
        if isinstance(outcome, Exception):
            self.result.set_exception(outcome)
        else:
            self.result.set_result(outcome)
