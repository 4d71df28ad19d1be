"""`app.dispatch.retry`: what a lost replica had, tried again, and how much of it may be."""

import asyncio
from collections.abc import Sequence
from contextvars import ContextVar

import pytest

from app.config.args import RetryArgs
from app.dispatch.request_queue import Pending
from app.dispatch.retry import ReplicaLost, Retrier, RetryBudget
from app.errors import DeadlineExceeded, InvalidItem, RequestRejected, Unavailable
from tests.support.aio import Clock, turns


class Replicas:
    """Answer an item's double; while `held`, when told to. `deaths` says how often an item's call is lost."""

    def __init__(self, clock: Clock, *, held: bool = False) -> None:
        self.clock = clock
        self.held = held
        self.calls: list[int] = []
        self.batches: list[list[int]] = []
        self.batch_ends: list[Exception] = []
        self.seconds: list[float] = []
        self.pauses: list[float] = []
        self.deaths: dict[int, list[ReplicaLost | Exception]] = {}
        self.open: dict[int, asyncio.Future[None]] = {}

    async def send(self, item: int, seconds: float) -> int:
        self.calls.append(item)
        self.seconds.append(seconds)
        if self.held:
            self.open[item] = asyncio.get_running_loop().create_future()
            await self.open[item]
        if deaths := self.deaths.get(item):
            raise deaths.pop(0)
        return 2 * item

    async def send_batch(self, items: list[int], seconds: float) -> list[int]:
        self.batches.append(items)
        self.seconds.append(seconds)
        if self.held:
            self.open[items[0]] = asyncio.get_running_loop().create_future()
            await self.open[items[0]]
        if self.batch_ends:
            raise self.batch_ends.pop(0)
        return [2 * item for item in items]

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.clock.now += seconds

    def retry(self, width: int = 8, burst: int = 100) -> Retrier[int, int]:
        budget = RetryBudget(RetryArgs(burst=burst, per_s=0, share=0), self.clock)
        return Retrier(self.send, self.send_batch, budget, 3, width, self.clock, self.sleep)


DIED, SILENT = ReplicaLost(), ReplicaLost(10.0, silent=True)


def lose(
    retry: Retrier[int, int], items: Sequence[int], ends: float = 1030.0, loss: ReplicaLost = DIED
) -> "list[asyncio.Future[int]]":
    loop = asyncio.get_running_loop()
    lost: list[Pending[int, int]] = [Pending(item, loop.create_future(), ends) for item in items]
    retry.take(loss, lost)
    return [pending.result for pending in lost]


async def test_each_item_goes_alone_and_few_at_once() -> None:
    replicas = Replicas(Clock(), held=True)
    retry = replicas.retry(width=3)
    futures = lose(retry, range(5))
    await turns()
    assert (replicas.calls, len(retry)) == ([0, 1, 2], 5)
    replicas.open[1].set_result(None)
    await turns()
    assert (replicas.calls, len(retry)) == ([0, 1, 2, 3], 4)
    assert await futures[1] == 2
    for item in (0, 2, 3):
        replicas.open[item].set_result(None)
    await turns()
    replicas.open[4].set_result(None)
    assert await asyncio.gather(*futures) == [0, 2, 4, 6, 8]
    await turns()
    assert len(retry) == 0


async def test_the_item_that_kills_again_is_rejected_and_its_mates_are_answered() -> None:
    replicas = Replicas(Clock())
    replicas.deaths = {7: [ReplicaLost(begun=True)], 3: [ReplicaLost()], 4: [ReplicaLost()]}
    retry = replicas.retry()
    outcomes = await asyncio.gather(*lose(retry, [3, 7, 4, 5]), return_exceptions=True)
    assert [outcomes[i] for i in (0, 2, 3)] == [6, 8, 10]
    assert isinstance(outcomes[1], RequestRejected)
    # The killer is not tried a third time; who only shared its replica is.
    assert sorted(replicas.calls) == [3, 3, 4, 4, 5, 7]
    assert retry.retried == 6


async def test_pauses_grow_and_attempts_leave_time_for_others() -> None:
    replicas = Replicas(Clock())
    replicas.deaths = {1: [ReplicaLost() for _ in range(7)]}
    [future] = lose(replicas.retry(), [1], ends=1010.0)
    assert await future == 2
    assert replicas.pauses == [0.0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0]
    assert replicas.seconds[0] == 5.0  # half of what is left
    assert replicas.seconds[-1] == pytest.approx((10 - 3.55) / 2)


async def test_after_the_deadline_nothing_is_tried() -> None:
    replicas = Replicas(Clock())
    replicas.deaths = {1: [ReplicaLost() for _ in range(100)]}
    late, hopeless = lose(replicas.retry(), [2], ends=1000.0) + lose(replicas.retry(), [1], ends=1002.0)
    for future in (late, hopeless):
        with pytest.raises(DeadlineExceeded):
            await future
    assert (replicas.calls.count(2), replicas.calls.count(1)) == (0, 7)


async def test_the_budget_bounds_how_much_is_tried_again() -> None:
    replicas = Replicas(Clock())
    outcomes = await asyncio.gather(*lose(replicas.retry(burst=2), range(4)), return_exceptions=True)
    assert outcomes[:2] == [0, 2]
    assert [type(outcome) for outcome in outcomes[2:]] == [Unavailable, Unavailable]
    assert replicas.calls == [0, 1]


async def test_other_failures_are_the_items_own() -> None:
    replicas = Replicas(Clock())
    wrong, odd = InvalidItem("no"), ValueError("odd")
    replicas.deaths = {1: [wrong], 2: [odd]}
    assert await asyncio.gather(*lose(replicas.retry(), [1, 2, 3]), return_exceptions=True) == [wrong, odd, 6]
    assert replicas.calls == [1, 2, 3]


async def test_what_is_cancelled_is_not_tried_and_not_kept() -> None:
    replicas = Replicas(Clock(), held=True)
    retry = replicas.retry(width=1)
    under_way, waiting, last = lose(retry, [1, 2, 3])
    await turns()
    waiting.cancel()
    under_way.cancel()
    await turns()
    assert (replicas.calls, replicas.open[1].cancelled()) == ([1, 3], True)
    replicas.open[3].set_result(None)
    assert await last == 6
    await turns()
    assert len(retry) == 0


async def test_what_was_merely_not_answered_goes_in_micro_batches_with_all_the_time_that_is_left() -> None:
    replicas = Replicas(Clock())
    retry = replicas.retry()
    futures = lose(retry, range(7), loss=SILENT)
    assert await asyncio.gather(*futures) == [2 * item for item in range(7)]
    assert (replicas.batches, replicas.calls) == ([[0, 1, 2], [3, 4, 5], [6]], [])
    assert replicas.seconds == [30.0] * 3
    assert retry.retried == 7


@pytest.mark.parametrize(
    ("loss", "error"), [(SILENT, DeadlineExceeded), (DIED, Unavailable), (ValueError("odd"), ValueError)]
)
async def test_a_micro_batch_that_is_lost_is_not_sent_to_a_third_replica(
    loss: Exception, error: type[Exception]
) -> None:
    replicas = Replicas(Clock())
    replicas.batch_ends = [loss]
    outcomes = await asyncio.gather(*lose(replicas.retry(), range(4), loss=SILENT), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [error] * 3 + [int]
    assert (replicas.batches, replicas.calls) == ([[0, 1, 2], [3]], [])


async def test_an_item_that_two_replicas_hung_on_is_not_sent_to_a_third() -> None:
    replicas = Replicas(Clock())
    replicas.deaths = {1: [ReplicaLost(begun=True, silent=True)], 2: [SILENT]}
    outcomes = await asyncio.gather(*lose(replicas.retry(), [1, 2]), return_exceptions=True)
    # Of the second, no replica had begun.
    assert (type(outcomes[0]), outcomes[1]) == (DeadlineExceeded, 4)
    assert replicas.calls.count(1) == 1


async def test_a_micro_batch_ends_when_none_of_it_is_wanted() -> None:
    replicas = Replicas(Clock(), held=True)
    retry = replicas.retry()
    first, second = lose(retry, [1, 2], loss=SILENT)
    await turns()
    first.cancel()
    await turns()
    assert not replicas.open[1].cancelled()
    second.cancel()
    await turns()
    assert (replicas.open[1].cancelled(), len(retry)) == (True, 0)


async def test_each_item_of_a_micro_batch_counts_for_the_budget() -> None:
    replicas = Replicas(Clock())
    outcomes = await asyncio.gather(*lose(replicas.retry(burst=2), range(3), loss=SILENT), return_exceptions=True)
    assert (outcomes[:2], type(outcomes[2]), replicas.batches) == ([0, 2], Unavailable, [[0, 1]])


async def test_an_attempt_belongs_to_no_request() -> None:
    """Serve cancels what was begun in a request's context when the request's client leaves."""
    request: ContextVar[str] = ContextVar("request", default="none")
    seen: list[str] = []

    replicas = Replicas(Clock())

    async def send(item: int, seconds: float) -> int:
        seen.append(request.get())
        return item

    retry = Retrier(send, replicas.send_batch, RetryBudget(RetryArgs()), 3, 8, replicas.clock, replicas.sleep)
    request.set("the first")
    assert await asyncio.gather(*lose(retry, range(12))) == [*range(12)]
    assert seen == ["none"] * 12


def budget_of(clock: Clock, **args: float) -> RetryBudget:
    return RetryBudget(RetryArgs.model_validate(args), clock)


def spent(budget: RetryBudget) -> int:
    """How many it lets through."""
    count = 0
    while budget.spend():
        count += 1
    return count


def test_the_bucket_is_full_at_first_and_then_empty() -> None:
    budget = budget_of(Clock(), burst=5)
    assert (spent(budget), spent(budget)) == (5, 0)


def test_first_attempts_earn_their_share() -> None:
    budget = budget_of(Clock(), burst=100, share=0.2, per_s=0)
    assert spent(budget) == 100
    for _ in range(3):
        budget.earn(25)
    assert spent(budget) == 15
    budget.earn(4)
    assert spent(budget) == 0  # four fifths of an item are none


def test_time_earns_the_floor() -> None:
    clock = Clock()
    budget = budget_of(clock, burst=100, share=0, per_s=10)
    assert spent(budget) == 100
    clock.now += 2.5
    assert spent(budget) == 25


@pytest.mark.parametrize("earned", ["time", "items"])
def test_no_more_is_saved_than_the_bucket_holds(earned: str) -> None:
    clock = Clock()
    budget = budget_of(clock, burst=10, share=1, per_s=10)
    if earned == "time":
        clock.now += 3600
    else:
        budget.earn(3600)
    assert spent(budget) == 10


def test_a_bucket_of_nothing_lets_nothing_through() -> None:
    clock = Clock()
    budget = budget_of(clock, burst=0)
    clock.now += 3600
    budget.earn(10_000)
    assert not budget.spend()
