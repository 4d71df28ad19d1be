"""`app.dispatch.adaptive_timeout`: how long a call is waited for."""

import asyncio
from collections.abc import Callable

import pytest

from app.dispatch import adaptive_timeout
from app.dispatch.adaptive_timeout import AdaptiveTimeout
from tests.support.aio import in_time


@pytest.fixture(autouse=True)
def _small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adaptive_timeout, "STEP_S", 0.001)


async def wait(patient: AdaptiveTimeout, event: asyncio.Event) -> str:
    try:
        async with patient.limit():
            await event.wait()
    except TimeoutError:
        return "gave up"
    return "came"


def looks(most: int, event: asyncio.Event, then: Callable[[], None]) -> tuple[list[int], Callable[[], bool]]:
    """A reason to wait that is looked at `most` times before `then` happens."""
    count = [0]

    def worth_it() -> bool:
        count[0] += 1
        if count[0] == most:
            then()
        return True

    return count, worth_it


async def test_it_ends_without_a_reason_to_wait_on() -> None:
    assert await wait(AdaptiveTimeout(0.001), asyncio.Event()) == "gave up"
    assert await wait(AdaptiveTimeout(0.001, 60.0, lambda: False), asyncio.Event()) == "gave up"


async def test_with_a_reason_it_lasts_until_the_answer_comes() -> None:
    event = asyncio.Event()
    count, worth_it = looks(5, event, event.set)
    assert await wait(AdaptiveTimeout(0.001, 60.0, worth_it), event) == "came"
    assert count == [5]


async def test_it_ends_when_the_reason_does() -> None:
    answers = iter([True, True, False])
    assert await wait(AdaptiveTimeout(0.001, 60.0, lambda: next(answers)), asyncio.Event()) == "gave up"
    assert next(answers, None) is None


async def test_it_ends_at_the_latest_whatever_the_reason() -> None:
    assert await in_time(wait(AdaptiveTimeout(0.001, 0.02, lambda: True), asyncio.Event())) == "gave up"


async def test_an_answer_in_time_asks_nothing() -> None:
    event = asyncio.Event()
    event.set()
    count, worth_it = looks(99, event, event.clear)
    assert await wait(AdaptiveTimeout(0.0, 60.0, worth_it), event) == "came"
    await asyncio.sleep(0.005)
    assert count == [0]
