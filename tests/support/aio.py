"""What tests of asynchronous code share: a loop with an end, turns instead of sleeps, a clock that is set."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Clock:
    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run`, but what hangs is a failure after 10 s."""
    return asyncio.run(asyncio.wait_for(coroutine, 10))


async def turns(count: int = 30) -> None:
    """Let everything run that can."""
    for _ in range(count):
        await asyncio.sleep(0)


async def until(condition: Callable[[], bool]) -> None:
    """Let everything run until it is true; for seconds at most, which are a failure."""
    give_up = time.monotonic() + 10
    while not condition():
        if time.monotonic() > give_up:
            raise AssertionError("it did not come to pass within 10 s")
        await asyncio.sleep(0)
