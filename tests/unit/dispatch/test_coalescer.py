"""Which calls items leave in, and when."""

import asyncio
from collections.abc import Callable, Sequence
from contextvars import ContextVar, copy_context

from app.dispatch.admission import AdmissionControl
from app.dispatch.coalescer import DEEP, DEEP_AFTER_S, ENOUGH_UNITS, Coalescer
from tests.support.aio import Clock, turns
from tests.support.coalescing import LARGE, Line, admission, submit


async def test_a_lone_item_leaves_at_once_and_what_comes_meanwhile_goes_together() -> None:
    line = Line()
    coalescer = Coalescer(line.send, lambda: 1, admission())
    futures = [*await submit(coalescer, [0]), *await submit(coalescer, [1, 2]), *await submit(coalescer, [3])]
    assert (line.calls, len(coalescer)) == ([[0]], 3)
    await line.answer(0)
    assert (line.calls, len(coalescer)) == ([[0], [1, 2, 3]], 0)
    await line.answer(1)
    assert await asyncio.gather(*futures) == [0, 2, 4, 6]


async def test_as_many_calls_as_the_receivers_can_use() -> None:
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


async def test_each_call_has_an_even_part_of_what_is_under_way_and_waits() -> None:
    """Then a few clients' texts are computed on while the others' are on the wire."""

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


async def test_who_comes_back_first_is_held_for_those_who_were_answered_with_him() -> None:
    """Beside another call only, and only as long as they may come."""
    line, clock, ends = Line(), Clock(), list[Callable[[], None]]()

    def later(seconds: float, callback: Callable[[], None]) -> None:
        ends.append(callback)

    coalescer = Coalescer(line.send, lambda: 2, admission(clock), later=later)
    for item in range(8):
        await submit(coalescer, [item])
    clock.now += 1.0
    await line.answer(0)
    await line.answer(1)
    assert line.calls == [[0], [1], [2, 3, 4, 5]]
    await submit(coalescer, [10])
    assert line.calls[3:] == []
    await submit(coalescer, [11])
    assert line.calls[3:] == [[6, 7, 10, 11]]
    clock.now += 1.0
    await line.answer(2)
    for item in (20, 21, 22, 23):
        assert line.calls[4:] == []
        await submit(coalescer, [item])
    assert line.calls[4:] == [[20, 21, 22, 23]]
    # Nobody else comes.
    await line.answer(3)
    await submit(coalescer, [30])
    assert line.calls[5:] == []
    clock.now += 1.0
    ends.pop()()
    await turns()
    assert line.calls[5:] == [[30]]
    # The other call ends first.
    await line.answer(4)
    await submit(coalescer, [40])
    assert line.calls[6:] == []
    await line.answer(5)
    assert line.calls[6:] == [[40]]
    await line.answer(6)


async def test_a_call_that_costs_enough_is_not_held() -> None:
    line, clock = Line(), Clock()
    dear = AdmissionControl[int]("model", lambda items: ENOUGH_UNITS // 2 * len(items), LARGE, LARGE, clock)
    coalescer = Coalescer(line.send, lambda: 2, dear)
    for item in range(8):
        await submit(coalescer, [item])
    clock.now += 1.0
    await line.answer(0)
    await line.answer(1)
    assert [len(call) for call in line.calls] == [1, 1, 4, 2]
    clock.now += 1.0
    await line.answer(2)
    await submit(coalescer, [20])
    assert line.calls[4:] == []
    await submit(coalescer, [21])
    assert line.calls[4:] == [[20, 21]]
    for call in (3, 4):
        await line.answer(call)


async def test_a_pile_is_spread_over_the_free_calls_but_not_too_thin() -> None:
    line = Line()
    coalescer = Coalescer(line.send, lambda: 4, admission())
    await submit(coalescer, range(400))
    assert [len(call) for call in line.calls] == [100, 100, 100, 100]
    line = Line()
    coalescer = Coalescer(line.send, lambda: 4, admission())
    await submit(coalescer, range(coalescer.full + 1))
    assert [len(call) for call in line.calls] == [coalescer.full, 1]


async def test_what_several_requests_share_is_no_longer_than_a_full_batch() -> None:
    """Each waits for the whole call; one request's own items wait for each other anyway."""

    line = Line()
    coalescer = Coalescer(line.send, lambda: 1, admission(), full=3)
    futures = [*await submit(coalescer, [0])]
    for items in ([1], [2], [3, 4, 5], [6], [7, 8]):
        futures += await submit(coalescer, items)
    for call in range(4):
        await line.answer(call)
    assert line.calls == [[0], [1, 2], [3, 4, 5], [6, 7, 8]]
    assert await asyncio.gather(*futures) == [2 * i for i in range(9)]


async def test_where_much_has_waited_long_calls_are_larger_and_leave_others_enough() -> None:
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


async def test_a_call_has_at_most_max_items_in_order() -> None:
    line = Line()
    coalescer = Coalescer(line.send, lambda: 1, admission(), max_items=100)
    futures = await submit(coalescer, range(250))
    for call in range(3):
        await line.answer(call)
    assert [len(call) for call in line.calls] == [100, 100, 50]
    assert await asyncio.gather(*futures) == [2 * i for i in range(250)]


async def test_a_call_belongs_to_no_request() -> None:
    """Serve keeps a request's calls by its context, and cancels them when the request's client leaves."""
    request: ContextVar[str | None] = ContextVar("request", default=None)
    calls_of: dict[str | None, list[asyncio.Future[Sequence[int]]]] = {}

    async def send(items: list[int], seconds: float, large: bool) -> Sequence[int]:
        answer: asyncio.Future[Sequence[int]] = asyncio.get_running_loop().create_future()
        calls_of.setdefault(request.get(), []).append(answer)
        return await answer

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


async def test_a_call_has_the_time_that_is_left_to_the_last_of_its_items() -> None:
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


async def test_small_requests_have_calls_of_their_own_and_a_large_one_leaves_in_slices() -> None:
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


async def test_slices_have_a_bounded_cost_and_their_items_are_alike() -> None:
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


async def test_small_requests_share_a_call_of_a_micro_batch_also_by_their_cost() -> None:
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


async def test_calls_beyond_the_width_are_made_where_they_are_full_and_no_more_than_that() -> None:
    line = Line()
    coalescer = Coalescer(line.send, lambda: 1, admission(), full=2, max_width=lambda: 4)
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
