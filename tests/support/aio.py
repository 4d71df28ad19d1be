"""What tests of asynchronous code share: a loop with an end, turns instead of sleeps, a clock that is set."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import pytest

T = TypeVar("T")
# For what takes milliseconds, on a machine that is busy.
PATIENCE_S = 30.0
# Longer: what a test waits for is its own assertion first.
HANGS_S = 3 * PATIENCE_S


class Clock:
    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run`, but what hangs is a failure after a minute and a half."""
    return asyncio.run(bounded(coroutine))


async def bounded(coroutine: Coroutine[Any, Any, T], longest_s: float = HANGS_S) -> T:
    """Its result. What has no end fails by pytest's own error: a negative control takes that for no answer, where a
    `TimeoutError` of the product is one."""
    limit = asyncio.timeout(longest_s)
    try:
        async with limit:
            return await coroutine
    except TimeoutError:
        if limit.expired():
            pytest.fail(f"Timeout: no end after {longest_s:g} s")
        raise


async def in_time(awaitable: Awaitable[T]) -> T:
    """Its result. It ends by itself, which is what is tested: that it does not is an assertion that fails."""
    limit = asyncio.timeout(PATIENCE_S)
    try:
        async with limit:
            return await awaitable
    except TimeoutError:
        assert not limit.expired(), "it has no end"
        raise


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
