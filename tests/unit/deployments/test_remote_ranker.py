"""`RemoteRanker` over a handle of this test's own. The imports of Ray warn, and warnings are errors here."""

import asyncio
import warnings
from typing import Any

import pytest

from app.config.args import Limits, RetryArgs
from app.dispatch.retry import RetryBudget
from app.errors import Overloaded, Unavailable
from tests.support.aio import in_time, turns

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from ray.exceptions import ActorDiedError

    from deployments.remote_ranker import MOST_BODIES, RemoteRanker


class Handle:
    def __init__(self) -> None:
        self.calls: list[asyncio.Future[str]] = []

    def options(self, **_: Any) -> "Handle":
        return self

    async def remote(self, *_: Any) -> str:
        self.calls.append(asyncio.get_running_loop().create_future())
        return await self.calls[-1]


def ranker_of(handle: Any, burst: int = 10) -> Any:
    return RemoteRanker(handle, Limits(vector_body=100), RetryBudget(RetryArgs(burst=burst, per_s=0)))


async def test_bodies_that_wait_are_bounded_and_a_large_one_alone_is_taken() -> None:
    handle = Handle()
    ranker = ranker_of(handle)
    waiting = [asyncio.ensure_future(ranker.rank_json(bytes(100))) for _ in range(MOST_BODIES)]
    await turns()
    with pytest.raises(Overloaded) as refused:
        await in_time(ranker.rank_json(bytes(1)))
    assert (refused.value.status, refused.value.retry_after, len(handle.calls)) == (429, 1, MOST_BODIES)
    handle.calls[0].set_result("ranked")
    assert await waiting[0] == "ranked"
    waiting.append(asyncio.ensure_future(ranker.rank_json(bytes(100))))
    await turns()
    for call in handle.calls[1:]:
        call.set_result("ranked")
    assert await asyncio.gather(*waiting) == ["ranked"] * 5
    alone = asyncio.ensure_future(ranker.rank_json(bytes(1000)))
    await turns()
    handle.calls[-1].set_result("ranked")
    assert await alone == "ranked"


async def test_what_failed_or_was_cancelled_waits_no_longer() -> None:
    handle = Handle()
    ranker = ranker_of(handle, burst=0)
    lost, left = (asyncio.ensure_future(ranker.rank_json(bytes(200))) for _ in range(2))
    await turns()
    handle.calls[0].set_exception(ActorDiedError())
    left.cancel()
    outcomes = await asyncio.gather(lost, left, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [Unavailable, asyncio.CancelledError]
    again = asyncio.ensure_future(ranker.rank_json(bytes(400)))
    await turns()
    handle.calls[-1].set_result("ranked")
    assert await again == "ranked"
