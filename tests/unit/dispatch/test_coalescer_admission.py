"""What waits is accounted for, and too much is refused."""

import pytest

from app.dispatch.admission import CALL_UNITS, AdmissionControl
from app.dispatch.coalescer import Coalescer
from app.errors import Overloaded
from tests.support.aio import Clock, turns
from tests.support.coalescing import Line, admission, submit


async def test_what_waits_is_accounted_for_until_it_is_answered_lost_or_given_up() -> None:
    line, account = Line(), admission()
    coalescer = Coalescer(line.send, lambda: 1, account, retry=lambda error, lost: True)
    await submit(coalescer, [1, 2])
    _, gone, *_ = await submit(coalescer, [3, 4, 5])
    assert account.waiting == 5
    await line.answer(0)
    assert account.waiting == 3
    gone.cancel()
    await line.answer(1, ConnectionError("gone"))
    assert (account.waiting, len(coalescer._calls)) == (0, 0)  # noqa: SLF001
    await submit(coalescer, [6])
    [gone] = await submit(coalescer, [7])
    gone.cancel()
    await line.answer(2)
    assert (account.waiting, len(coalescer), len(coalescer._calls)) == (0, 0, 0)  # noqa: SLF001


async def test_how_long_calls_take_is_told() -> None:
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


async def test_too_much_is_refused_before_it_waits() -> None:
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


async def test_what_waits_beyond_the_width_counts_as_waiting() -> None:
    line, clock = Line(), Clock()
    account: AdmissionControl[int] = AdmissionControl("model", len, 4.0, 30.0, clock)
    account.rate = 0.2
    coalescer = Coalescer(line.send, lambda: 1, account, full=1, max_width=lambda: 2)
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


async def test_a_request_is_refused_for_what_waits_before_it_only() -> None:
    """At 1,000 items a second, with 4 s of queue: two requests of 5,000 wait, and single ones come."""

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
    assert (len(coalescer), len(coalescer._calls), account.waiting) == (1, 1, 2)  # noqa: SLF001
    await line.answer(0)


async def test_a_request_that_is_too_large_by_itself_hears_how_much_is_not() -> None:
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


async def test_a_call_that_is_cancelled_before_its_first_step_waits_no_longer() -> None:
    line, account = Line(), admission()
    coalescer = Coalescer(line.send, lambda: 1, account)
    [future] = coalescer.submit([7])
    future.cancel()
    coalescer.trim()
    await turns()
    assert (line.calls, len(coalescer._calls), len(coalescer), account.waiting) == ([], 0, 0, 0)  # noqa: SLF001
