"""What becomes of items whose call fails, and of those that nobody wants any longer."""

import asyncio

import pytest

from app.dispatch.admission import AdmissionControl
from app.dispatch.coalescer import Coalescer
from app.dispatch.request_queue import Pending
from tests.support.aio import Clock, turns
from tests.support.coalescing import LARGE, Line, admission, submit


async def test_a_failed_call_fails_its_own_items_only() -> None:
    line, failure = Line(), ConnectionError("gone")
    coalescer = Coalescer(line.send, lambda: 1, admission())
    first, second = await submit(coalescer, [1]), await submit(coalescer, [2])
    await line.answer(0, failure)
    await line.answer(1)
    assert await asyncio.gather(*first, *second, return_exceptions=True) == [failure, 4]


@pytest.mark.parametrize("results", [[], [1], [1, 2, 3]])
async def test_a_wrong_number_of_results_is_a_failure_and_no_mix_up(results: list[int]) -> None:
    line = Line()
    futures = await submit(Coalescer(line.send, lambda: 1, admission()), [1, 2])
    await line.answer(0, results)
    for future in futures:
        with pytest.raises(RuntimeError, match=f"{len(results)} results for 2 items"):
            await future


async def test_a_cancelled_item_is_left_out() -> None:
    line = Line()
    coalescer = Coalescer(line.send, lambda: 1, admission())
    await submit(coalescer, [0])
    gone, _ = await submit(coalescer, [1, 2])
    gone.cancel()
    await line.answer(0)
    assert line.calls == [[0], [2]]
    alone = await submit(coalescer, [3])
    alone[0].cancel()
    await line.answer(1)
    assert (len(line.calls), len(coalescer)) == (2, 0)
    [last] = await submit(coalescer, [4])
    await line.answer(2)
    assert await last == 8


@pytest.mark.parametrize("failure", [None, ConnectionError("gone")])
async def test_an_item_cancelled_on_its_way_takes_nothing_from_the_others(failure: Exception | None) -> None:
    line = Line()
    gone, stays = await submit(Coalescer(line.send, lambda: 1, admission()), [1, 2])
    gone.cancel()
    await line.answer(0, failure)
    assert gone.cancelled()
    [outcome] = await asyncio.gather(stays, return_exceptions=True)
    assert outcome == (failure or 4)


async def test_a_cancelled_call_cancels_its_items_and_no_others() -> None:
    line = Line()
    coalescer = Coalescer(line.send, lambda: 1, admission())
    first, second = await submit(coalescer, [1, 2]), await submit(coalescer, [3])
    await line.answer(0, asyncio.CancelledError())
    assert [future.cancelled() for future in first] == [True, True]
    await line.answer(1)
    assert await asyncio.gather(*second) == [6]


async def test_a_retry_takes_what_is_still_wanted_of_a_failed_call_and_the_next_call_goes_on() -> None:
    line, lost = Line(), ConnectionError("lost")
    taken: list[tuple[int, asyncio.Future[int], float]] = []

    def retry(error: Exception, entries: list[Pending[int, int]]) -> bool:
        if error is lost:
            taken.extend((entry.item, entry.result, entry.ends) for entry in entries)
        return error is lost

    account: AdmissionControl[int] = AdmissionControl("model", len, LARGE, 30.0, Clock(1000.0))
    coalescer = Coalescer(line.send, lambda: 1, account, retry=retry)
    gone, stays = await submit(coalescer, [1, 2])
    [later] = await submit(coalescer, [3])
    gone.cancel()
    await line.answer(0, lost)
    assert taken == [(2, stays, 1030.0)]
    assert (stays.done(), line.calls) == (False, [[1, 2], [3]])
    other = ConnectionError("other")
    await line.answer(1, other)
    assert (later.exception(), stays.done()) == (other, False)
    stays.cancel()


async def test_a_call_without_waiters_ends_and_the_next_begins() -> None:
    line, account, tasks = Line(), admission(), len(asyncio.all_tasks())
    coalescer = Coalescer(line.send, lambda: 1, account)
    first = await submit(coalescer, [1, 2])
    waiting = await submit(coalescer, [3, 4])
    first[0].cancel()
    waiting[0].cancel()
    coalescer.trim()
    await turns()
    # One of the first call is still wanted.
    assert (len(coalescer._calls), len(coalescer), account.waiting) == (1, 1, 3)  # noqa: SLF001
    first[1].cancel()
    coalescer.trim()
    await turns()
    assert (line.calls, len(coalescer._calls), account.waiting) == ([[1, 2], [4]], 1, 1)  # noqa: SLF001
    await line.answer(1)
    assert (await waiting[1], account.waiting, len(asyncio.all_tasks())) == (8, 0, tasks)
