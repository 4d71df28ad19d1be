import asyncio
from collections.abc import Sequence
from contextvars import ContextVar, copy_context

import pytest

from app.dispatch.admission import CALL_UNITS, AdmissionControl
from app.dispatch.coalescer import DEEP, DEEP_AFTER_S, Coalescer
from app.dispatch.pending import Pending
from app.errors import Overloaded
from tests.support.aio import Clock, run, turns

LARGE = 10.0**9


class Line:
    """Holds every call until `answer`; an item's result is its double."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.seconds: list[float] = []
        self.large: list[bool] = []
        self._open: list[asyncio.Future[Sequence[int]]] = []

    async def send(self, items: list[int], seconds: float, large: bool) -> Sequence[int]:
        self.calls.append(items)
        self.large.append(large)
        self.seconds.append(seconds)
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
        assert line.calls == [[0], [1], [2, 3]]
        width = 0  # none is known: one call is still tried
        await submit(coalescer, [5])
        for call in (0, 1):
            await line.answer(call)
        assert len(line.calls) == 3
        await line.answer(2)
        assert line.calls[3:] == [[4, 5]]
        await line.answer(3)

    run(main())


def test_each_call_has_an_even_part_of_what_is_under_way_and_waits() -> None:
    """Then a few clients' texts are computed on while the others' are on the wire."""

    async def main() -> None:
        line = Line()
        coalescer = Coalescer(line.send, lambda: 2, admission())
        for item in range(8):
            await submit(coalescer, [item])
        for call in range(5):
            await line.answer(call)
            for item in line.calls[call]:
                await submit(coalescer, [item])
        assert [len(call) for call in line.calls] == [1, 1, 4, 3, 1, 3, 4]
        for call in (5, 6):
            await line.answer(call)

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
        for call in range(4):
            await line.answer(call)
        assert line.calls == [[0], [1, 2], [3, 4, 5], [6, 7, 8]]
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


def test_a_cancelled_call_cancels_its_items_and_no_others() -> None:
    async def main() -> None:
        line = Line()
        coalescer = Coalescer(line.send, lambda: 1, admission())
        first, second = await submit(coalescer, [1, 2]), await submit(coalescer, [3])
        await line.answer(0, asyncio.CancelledError())
        assert [future.cancelled() for future in first] == [True, True]
        await line.answer(1)
        assert await asyncio.gather(*second) == [6]

    run(main())


def test_a_retry_takes_what_is_still_wanted_of_a_failed_call_and_the_next_call_goes_on() -> None:
    async def main() -> None:
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
        for call in range(2):
            await submit(coalescer, [3, 4])
            clock.now += 2
            await line.answer(call)
        assert account.rate == pytest.approx((2 + CALL_UNITS) / 2)
        [failed] = await submit(coalescer, [5])
        clock.now += 2
        await line.answer(2)
        clock.now += 1
        await line.answer(3, ConnectionError("gone"))  # says nothing
        assert isinstance(failed.exception(), ConnectionError)
        assert account.rate == pytest.approx((2 + CALL_UNITS) / 2)

    run(main())


def test_too_much_is_refused_before_it_waits() -> None:
    async def main() -> None:
        line, clock = Line(), Clock()
        account: AdmissionControl[int] = AdmissionControl("model", len, 4.0, 30.0, clock)
        account.rate = 0.4
        coalescer = Coalescer(line.send, lambda: 1, account)
        await submit(coalescer, [1])
        clock.now += 1
        await submit(coalescer, [2])  # nothing waits in the queue
        clock.now += 1
        with pytest.raises(Overloaded, match=r"5\.0 s"):
            coalescer.submit([3])
        assert (line.calls, len(coalescer), account.waiting) == ([[1]], 1, 2)
        await line.answer(0)
        await submit(coalescer, [4])
        assert line.calls == [[1], [2]]
        await line.answer(1)
        await line.answer(2)
        assert account.waiting == 0

    run(main())


def test_a_call_without_waiters_ends_and_the_next_begins() -> None:
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


def test_a_call_belongs_to_no_request() -> None:
    """Serve keeps a request's calls by its context, and cancels them when the request's client leaves."""
    request: ContextVar[str | None] = ContextVar("request", default=None)
    calls_of: dict[str | None, list[asyncio.Future[Sequence[int]]]] = {}

    async def send(items: list[int], seconds: float, large: bool) -> Sequence[int]:
        answer: asyncio.Future[Sequence[int]] = asyncio.get_running_loop().create_future()
        calls_of.setdefault(request.get(), []).append(answer)
        return await answer

    async def main() -> None:
        coalescer = Coalescer(send, lambda: 1, admission())

        def submit_as(name: str, item: int) -> "asyncio.Future[int]":
            def within() -> "asyncio.Future[int]":
                request.set(name)
                return coalescer.submit([item])[0]

            return copy_context().run(within)

        [_, first, second] = [submit_as("zero", 0), submit_as("one", 1), submit_as("two", 2)]
        await turns()
        for answered in range(2):
            # The client of each request whose context a call may have been made in leaves.
            for name in ("zero", "one"):
                for call in calls_of.get(name, []):
                    call.cancel()
            await turns()
            if answered == 0:
                calls_of[None][0].set_result([0])
                await turns()
        calls_of[None][1].set_result([1, 2])
        assert [await first, await second] == [1, 2]
        assert [*calls_of] == [None]

    run(main())


def test_a_call_has_the_time_that_is_left_to_the_last_of_its_items() -> None:
    async def main() -> None:
        line, clock = Line(), Clock()
        account: AdmissionControl[int] = AdmissionControl("model", len, LARGE, 30.0, clock)
        coalescer = Coalescer(line.send, lambda: 1, account)
        await submit(coalescer, [0])
        clock.now += 1
        await submit(coalescer, [1])
        clock.now += 2
        await submit(coalescer, [2])
        clock.now += 4
        await line.answer(0)
        assert (line.calls, line.seconds) == ([[0], [1, 2]], [30.0, 26.0])
        await line.answer(1)

    run(main())


def test_small_requests_have_calls_of_their_own_and_a_large_one_leaves_in_slices() -> None:
    async def main() -> None:
        line = Line()
        coalescer = Coalescer(line.send, lambda: 1, admission(), max_items=2, full=2)
        large = await submit(coalescer, range(100, 106))
        for item in range(3):
            await submit(coalescer, [item])
        assert list(zip(line.calls, line.large, strict=True)) == [([100, 101], True), ([0], False)]
        await line.answer(1)
        await line.answer(0)
        assert list(zip(line.calls, line.large, strict=True))[2:] == [([1, 2], False), ([102, 103], True)]
        # What is done of a large one is known at once.
        assert [future.done() for future in large] == [True] * 2 + [False] * 4
        for call in (2, 3, 4):
            await line.answer(call)
        assert [future.result() for future in large] == [2 * item for item in range(100, 106)]

    run(main())


def test_slices_have_a_bounded_cost_and_their_items_are_alike() -> None:
    async def main() -> None:
        line = Line()
        account: AdmissionControl[int] = AdmissionControl("model", sum, LARGE, LARGE)
        coalescer = Coalescer(line.send, lambda: 1, account, full=4, full_units=10)
        account.rate = 1.0
        futures = await submit(coalescer, [9, 1, 30, 9, 2, 8, 2])
        for call in range(3):
            await line.answer(call)
        assert line.calls == [[30], [9, 9], [8, 2, 2, 1]]
        assert await asyncio.gather(*futures) == [18, 2, 60, 18, 4, 16, 4]
        # A receiver that is quicker is given more at once.
        account.rate = 1000.0
        await submit(coalescer, [9] * 20)
        assert line.calls[3:] == [[9] * 20]
        await line.answer(3)

    run(main())


def test_small_requests_share_a_call_of_a_micro_batch_also_by_their_cost() -> None:
    async def main() -> None:
        line = Line()
        account: AdmissionControl[int] = AdmissionControl("model", sum, LARGE, LARGE)
        coalescer = Coalescer(line.send, lambda: 1, account, full=32, full_units=10)
        await submit(coalescer, [1])
        for item in (4, 5, 6, 7, 10):
            await submit(coalescer, [item])
        for call in range(3):
            await line.answer(call)
        assert line.calls == [[1], [4, 5, 6], [7, 10]]
        assert not any(line.large)

    run(main())


def test_calls_beyond_the_width_are_made_where_they_are_full_and_no_more_than_that() -> None:
    async def main() -> None:
        line = Line()
        coalescer = Coalescer(line.send, lambda: 1, admission(), full=2, max_width=4)
        for item in range(2):
            await submit(coalescer, [item])
        assert line.calls == [[0]]
        for item in range(2, 9):
            await submit(coalescer, [item])
        assert line.calls == [[0], [1, 2], [3, 4], [5, 6]]
        for call in range(4):
            await line.answer(call)
        assert line.calls[4:] == [[7, 8]]
        await line.answer(4)
        line.calls.clear()
        await submit(coalescer, range(100))
        assert [len(call) for call in line.calls] == [25] * 4

    run(main())


def test_what_waits_beyond_the_width_counts_as_waiting() -> None:
    async def main() -> None:
        line, clock = Line(), Clock()
        account: AdmissionControl[int] = AdmissionControl("model", len, 4.0, 30.0, clock)
        account.rate = 0.2
        coalescer = Coalescer(line.send, lambda: 1, account, full=1, max_width=2)
        await submit(coalescer, [1])
        clock.now += 1
        assert coalescer.refusal() is None
        await submit(coalescer, [2])
        assert (line.calls, len(coalescer)) == ([[1], [2]], 0)
        clock.now += 1
        with pytest.raises(Overloaded):
            coalescer.submit([3])
        assert coalescer.refusal() is not None
        await line.answer(0)
        assert coalescer.refusal() is None  # the second call is within the width now
        await line.answer(1)

    run(main())


def test_a_request_is_refused_for_what_waits_before_it_only() -> None:
    """At 1,000 items a second, with 4 s of queue: two requests of 5,000 wait, and single ones come."""

    async def main() -> None:
        line, clock = Line(), Clock()
        account: AdmissionControl[int] = AdmissionControl("model", len, 4.0, 12.0, clock)
        account.rate = 1000.0
        coalescer = Coalescer(line.send, lambda: 1, account, max_items=1, full_units=1000)
        await submit(coalescer, [0])
        large = coalescer.submit(range(5000)) + coalescer.submit(range(5000))
        clock.now += 2
        with pytest.raises(Overloaded, match=r"10\.0 s") as refused:
            coalescer.submit(range(5000))
        assert refused.value.max_items is None
        large += coalescer.submit(range(3000))  # done before those
        assert coalescer.refusal() is None
        await submit(coalescer, [1])
        others = [future for _ in range(400) for future in coalescer.submit(range(10))]
        clock.now += 1
        # Now there are 4 s of small ones before the next, and it is refused too.
        with pytest.raises(Overloaded, match=r"4\.0 s"):
            coalescer.submit([2])
        assert coalescer.refusal() is not None
        assert line.calls == [[0], [0]]
        for future in large + others:
            future.cancel()
        coalescer.trim()
        await turns()
        assert coalescer.refusal() is None
        assert (len(coalescer), coalescer.calls, account.waiting) == (1, 1, 2)
        await line.answer(0)

    run(main())


def test_a_request_that_is_too_large_by_itself_hears_how_much_is_not() -> None:
    async def main() -> None:
        line, clock = Line(), Clock()
        account: AdmissionControl[int] = AdmissionControl("model", len, 4.0, 30.0, clock)
        account.rate = 10.0
        coalescer = Coalescer(line.send, lambda: 1, account, max_items=1)
        coalescer.submit(range(40))
        clock.now += 1
        with pytest.raises(Overloaded) as refused:
            coalescer.submit(range(300))
        assert (str(refused.value), refused.value.max_items, refused.value.retry_after) == (
            "model has 4.0 s of work waiting. It can do about 260 of these 300 items within 30 s.", 260, 4
        )  # fmt: skip

    run(main())


def test_a_call_that_is_cancelled_before_its_first_step_waits_no_longer() -> None:
    async def main() -> None:
        line, account = Line(), admission()
        coalescer = Coalescer(line.send, lambda: 1, account)
        [future] = coalescer.submit([7])
        future.cancel()
        coalescer.trim()
        await turns()
        assert (line.calls, coalescer.calls, len(coalescer), account.waiting) == ([], 0, 0, 0)

    run(main())
