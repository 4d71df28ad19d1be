"""What tests of asynchronous code share: a loop with an end, turns instead of sleeps, a clock that is set."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
# For what takes milliseconds, on a machine that is busy.
PATIENCE_S = 30.0


class Clock:
    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run`, but what hangs is a failure after half a minute."""
    return asyncio.run(asyncio.wait_for(coroutine, PATIENCE_S))


async def turns(count: int = 30) -> None:
    """Let everything run that can."""
    for _ in range(count):
        await asyncio.sleep(0)


async def until(condition: Callable[[], bool]) -> None:
    """Let everything run until it is true; for half a minute at most, which is a failure."""
    give_up = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > give_up:
            raise AssertionError("it did not come to pass")
        await asyncio.sleep(0)
