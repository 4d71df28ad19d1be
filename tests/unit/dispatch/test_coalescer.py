import asyncio
from collections.abc import Sequence

import pytest

from app.dispatch.admission import CALL_UNITS, AdmissionControl
from app.dispatch.coalescer import DEEP, DEEP_AFTER_S, Coalescer
from app.errors import Overloaded
from tests.support.aio import Clock, run, turns

LARGE = 10.0**9


class Line:
    """Holds every call until `answer`; an item's result is its double."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self._open: list[asyncio.Future[Sequence[int]]] = []

    async def send(self, items: list[int]) -> Sequence[int]:
        self.calls.append(items)
        self._open.append(asyncio.get_running_loop().create_future())
        return await self._open[-1]

    async def answer(self, call: int, results: Sequence[int] | BaseException | None = None) -> None:
        if isinstance(results, BaseException):
            self._open[call].set_exception(results)
        else:
            self._open[call].set_result([2 * i for i in self.calls[call]] if results is None else results)
        await turns()


def admission() -> AdmissionControl[int]:
    """An item is a unit; nothing is refused."""
    return AdmissionControl("model", len, queue_s=LARGE, deadline_s=LARGE)


async def submit(coalescer: Coalescer[int, int], items: Sequence[int]) -> list["asyncio.Future[int]"]:
    futures = coalescer.submit(items)
    await turns()
    return futures


def test_a_lone_item_leaves_at_once_and_what_comes_meanwhile_goes_together() -> None:
    async def main() -> None:
        line = Line()
        coalescer = Coalescer(line.send, lambda: 1, admission())
        futures = [*await submit(coalescer, [0]), *await submit(coalescer, [1, 2]), *await submit(coalescer, [3])]
        assert (line.calls, len(coalescer)) == ([[0]], 3)
        await line.answer(0)
        assert (line.calls, len(coalescer)) == ([[0], [1, 2, 3]], 0)
        await line.answer(1)
        assert await asyncio.gather(*futures) == [0, 2, 4, 6]

    run(main())


def test_as_many_calls_as_the_receivers_can_use() -> None:
    async def main() -> None:
        line, width = Line(), 2
        coalescer = Coalescer(line.send, lambda: width, admission())
        for i in range(4):
            await submit(coalescer, [i])
        assert line.calls == [[0], [1]]
        width = 3  # another replica has come
        await submit(coalescer, [4])
        assert line.calls == [[0], [1], [2, 3, 4]]
        width = 0  # none is known: one call is still tried
        await submit(coalescer, [5])
        for call in (0, 1):
            await line.answer(call)
        assert len(line.calls) == 3
        await line.answer(2)
        assert line.calls[3:] == [[5]]
        await line.answer(3)

    run(main())


def test_a_pile_is_spread_over_the_free_calls_but_not_too_thin() -> None:
    async def main() -> None:
        line = Line()
        coalescer = Coalescer(line.send, lambda: 4, admission())
        await submit(coalescer, range(400))
        assert [len(call) for call in line.calls] == [100, 100, 100, 100]
        line = Line()
        coalescer = Coalescer(line.send, lambda: 4, admission())
        await submit(coalescer, range(coalescer.full + 1))
        assert [len(call) for call in line.calls] == [coalescer.full, 1]

    run(main())


def test_what_several_requests_share_is_no_longer_than_a_full_batch() -> None:
    """Each waits for the whole call; one request's own items wait for each other anyway."""

    async def main() -> None:
        line = Line()
        coalescer = Coalescer(line.send, lambda: 1, admission(), full=3)
        futures = [*await submit(coalescer, [0])]
        for items in ([1], [2], [3, 4, 5], [6], [7, 8]):
            futures += await submit(coalescer, items)
        for call in range(3):
            await line.answer(call)
        assert line.calls == [[0], [1, 2, 3, 4, 5], [6, 7, 8]]
        assert await asyncio.gather(*futures) == [2 * i for i in range(9)]

    run(main())


def test_where_much_has_waited_long_calls_are_larger_and_leave_others_enough() -> None:
    async def main() -> None:
        line, clock = Line(), Clock()
        account: AdmissionControl[int] = AdmissionControl("model", len, LARGE, LARGE, clock)
        coalescer = Coalescer(line.send, lambda: 1, account, full=2)
        futures = [*await submit(coalescer, [0])]
        for item in range(1, 14):
            futures += await submit(coalescer, [item])
        clock.now += DEEP_AFTER_S
        await line.answer(0)
        clock.now += 0.1
        for call in range(1, 5):
            await line.answer(call)
        assert line.calls == [[0], [1, 2], [*range(3, 3 + 2 * DEEP)], [11, 12], [13]]
        assert await asyncio.gather(*futures) == [2 * i for i in range(14)]

    run(main())


def test_a_call_has_at_most_max_items_in_order() -> None:
    async def main() -> None:
        line = Line()
        coalescer = Coalescer(line.send, lambda: 1, admission(), max_items=100)
        futures = await submit(coalescer, range(250))
        for call in range(3):
            await line.answer(call)
        assert [len(call) for call in line.calls] == [100, 100, 50]
        assert await asyncio.gather(*futures) == [2 * i for i in range(250)]

    run(main())


def test_a_failed_call_fails_its_own_items_only() -> None:
    async def main() -> None:
        line, failure = Line(), ConnectionError("gone")
        coalescer = Coalescer(line.send, lambda: 1, admission())
        first, second = await submit(coalescer, [1]), await submit(coalescer, [2])
        await line.answer(0, failure)
        await line.answer(1)
        assert await asyncio.gather(*first, *second, return_exceptions=True) == [failure, 4]

    run(main())


@pytest.mark.parametrize("results", [[], [1], [1, 2, 3]])
def test_a_wrong_number_of_results_is_a_failure_and_no_mix_up(results: list[int]) -> None:
    async def main() -> None:
        line = Line()
        futures = await submit(Coalescer(line.send, lambda: 1, admission()), [1, 2])
        await line.answer(0, results)
        for future in futures:
            with pytest.raises(RuntimeError, match=f"{len(results)} results for 2 items"):
                await future

    run(main())


def test_a_cancelled_item_is_left_out() -> None:
    async def main() -> None:
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

    run(main())


@pytest.mark.parametrize("failure", [None, ConnectionError("gone")])
def test_an_item_cancelled_on_its_way_takes_nothing_from_the_others(failure: Exception | None) -> None:
    async def main() -> None:
        line = Line()
        gone, stays = await submit(Coalescer(line.send, lambda: 1, admission()), [1, 2])
        gone.cancel()
        await line.answer(0, failure)
        assert gone.cancelled()
        [outcome] = await asyncio.gather(stays, return_exceptions=True)
        assert outcome == (failure or 4)

    run(main())


def test_a_cancelled_call_cancels_its_items_and_hangs_nobody() -> None:
    async def main() -> None:
        line = Line()
        coalescer = Coalescer(line.send, lambda: 1, admission())
        first, second = await submit(coalescer, [1, 2]), await submit(coalescer, [3])
        await line.answer(0, asyncio.CancelledError())
        assert [future.cancelled() for future in first] == [True, True]
        await line.answer(1)
        assert await asyncio.gather(*second) == [6]

    run(main())


def test_a_rescuer_takes_what_is_still_wanted_of_a_failed_call_and_the_next_call_goes_on() -> None:
    async def main() -> None:
        line, lost = Line(), ConnectionError("lost")
        taken: list[tuple[int, asyncio.Future[int]]] = []

        def retry(error: Exception, entries: list[tuple[int, "asyncio.Future[int]"]]) -> bool:
            if error is lost:
                taken.extend(entries)
            return error is lost

        coalescer = Coalescer(line.send, lambda: 1, admission(), retry=retry)
        gone, stays = await submit(coalescer, [1, 2])
        [later] = await submit(coalescer, [3])
        gone.cancel()
        await line.answer(0, lost)
        assert taken == [(2, stays)]
        assert (stays.done(), line.calls) == (False, [[1, 2], [3]])
        other = ConnectionError("other")
        await line.answer(1, other)
        assert (later.exception(), stays.done()) == (other, False)
        stays.cancel()

    run(main())


def test_what_waits_is_accounted_for_until_it_is_answered_lost_or_given_up() -> None:
    async def main() -> None:
        line, account = Line(), admission()
        coalescer = Coalescer(line.send, lambda: 1, account, retry=lambda error, lost: True)
        await submit(coalescer, [1, 2])
        _, gone, *_ = await submit(coalescer, [3, 4, 5])
        assert account.waiting == 5
        await line.answer(0)
        assert account.waiting == 3
        gone.cancel()
        await line.answer(1, ConnectionError("gone"))
        assert (account.waiting, coalescer.calls) == (0, 0)
        await submit(coalescer, [6])
        [gone] = await submit(coalescer, [7])
        gone.cancel()
        await line.answer(2)
        assert (account.waiting, len(coalescer), coalescer.calls) == (0, 0, 0)

    run(main())


def test_how_long_calls_take_is_told() -> None:
    async def main() -> None:
        line, clock = Line(), Clock()
        account: AdmissionControl[int] = AdmissionControl("model", len, 4.0, 30.0, clock)
        coalescer = Coalescer(line.send, lambda: 1, account)
        await submit(coalescer, [1, 2])
        [failed] = await submit(coalescer, [3])
        clock.now += 2
        await line.answer(0)
        assert account.rate == pytest.approx((2 + CALL_UNITS) / 2)
        clock.now += 1
        await line.answer(1, ConnectionError("gone"))  # says nothing
        assert isinstance(failed.exception(), ConnectionError)
        assert account.rate == pytest.approx((2 + CALL_UNITS) / 2)

    run(main())


def test_too_much_is_refused_before_it_waits() -> None:
    async def main() -> None:
        line, clock = Line(), Clock()
        account: AdmissionControl[int] = AdmissionControl("model", len, 4.0, 30.0, clock, waiting=10**6)
        coalescer = Coalescer(line.send, lambda: 1, account)
        await submit(coalescer, [1])
        clock.now += 1
        await submit(coalescer, [2])  # nobody waits in the queue
        clock.now += 1
        with pytest.raises(Overloaded):
            coalescer.submit([3])
        assert (line.calls, len(coalescer), account.waiting) == ([[1]], 1, 10**6 + 2)
        await line.answer(0)
        await submit(coalescer, [4])
        assert line.calls == [[1], [2]]
        await line.answer(1)
        await line.answer(2)
        assert account.waiting == 10**6

    run(main())


def test_a_call_that_nobody_waits_for_any_more_ends_and_the_next_begins() -> None:
    async def main() -> None:
        line, account, tasks = Line(), admission(), len(asyncio.all_tasks())
        coalescer = Coalescer(line.send, lambda: 1, account)
        first = await submit(coalescer, [1, 2])
        waiting = await submit(coalescer, [3, 4])
        first[0].cancel()
        waiting[0].cancel()
        coalescer.trim()
        await turns()
        # One of the first call is still wanted.
        assert (coalescer.calls, len(coalescer), account.waiting) == (1, 1, 3)
        first[1].cancel()
        coalescer.trim()
        await turns()
        assert (line.calls, coalescer.calls, account.waiting) == ([[1, 2], [4]], 1, 1)
        await line.answer(1)
        assert (await waiting[1], account.waiting, len(asyncio.all_tasks())) == (8, 0, tasks)

    run(main())
