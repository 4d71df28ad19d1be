"""`app.dispatch.retry`: what a lost replica had, tried again alone."""

import asyncio
from collections.abc import Sequence

import pytest

from app.config.args import RetryArgs
from app.dispatch.retry import ReplicaLost, Retrier
from app.dispatch.retry_budget import RetryBudget
from app.errors import DeadlineExceeded, InvalidItem, RequestRejected, Unavailable
from tests.support.aio import Clock, run, turns


class Replicas:
    """Answer an item's double; while `held`, when told to. `deaths` says how often an item's call is lost."""

    def __init__(self, clock: Clock, *, held: bool = False) -> None:
        self.clock = clock
        self.held = held
        self.calls: list[int] = []
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

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.clock.now += seconds

    def retry(self, width: int = 8, burst: int = 100) -> Retrier[int, int]:
        budget = RetryBudget(RetryArgs(burst=burst, per_s=0, share=0), self.clock)
        return Retrier(self.send, budget, width, self.clock, self.sleep)


def lose(retry: Retrier[int, int], items: Sequence[int], ends: float = 1030.0) -> "list[asyncio.Future[int]]":
    loop = asyncio.get_running_loop()
    futures: list[asyncio.Future[int]] = [loop.create_future() for _ in items]
    retry.take(list(zip(items, futures, strict=True)), ends)
    return futures


def test_each_item_goes_alone_and_few_at_once() -> None:
    async def main() -> None:
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

    run(main())


def test_the_item_that_kills_again_is_rejected_and_its_mates_are_answered() -> None:
    async def main() -> None:
        replicas = Replicas(Clock())
        replicas.deaths = {7: [ReplicaLost(begun=True)], 3: [ReplicaLost()], 4: [ReplicaLost()]}
        retry = replicas.retry()
        outcomes = await asyncio.gather(*lose(retry, [3, 7, 4, 5]), return_exceptions=True)
        assert [outcomes[i] for i in (0, 2, 3)] == [6, 8, 10]
        assert isinstance(outcomes[1], RequestRejected)
        # The killer is not tried a third time; who only shared its replica is.
        assert sorted(replicas.calls) == [3, 3, 4, 4, 5, 7]
        assert retry.retried == 6

    run(main())


def test_pauses_grow_and_attempts_leave_time_for_others() -> None:
    async def main() -> None:
        replicas = Replicas(Clock())
        replicas.deaths = {1: [ReplicaLost() for _ in range(7)]}
        [future] = lose(replicas.retry(), [1], ends=1010.0)
        assert await future == 2
        assert replicas.pauses == [0.0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0]
        assert replicas.seconds[0] == 5.0  # half of what is left
        assert replicas.seconds[-1] == pytest.approx((10 - 3.55) / 2)

    run(main())


def test_after_the_deadline_nothing_is_tried() -> None:
    async def main() -> None:
        replicas = Replicas(Clock())
        replicas.deaths = {1: [ReplicaLost() for _ in range(100)]}
        late, hopeless = lose(replicas.retry(), [2], ends=1000.0) + lose(replicas.retry(), [1], ends=1002.0)
        for future in (late, hopeless):
            with pytest.raises(DeadlineExceeded):
                await future
        assert (replicas.calls.count(2), replicas.calls.count(1)) == (0, 7)

    run(main())


def test_the_budget_bounds_how_much_is_tried_again() -> None:
    async def main() -> None:
        replicas = Replicas(Clock())
        outcomes = await asyncio.gather(*lose(replicas.retry(burst=2), range(4)), return_exceptions=True)
        assert outcomes[:2] == [0, 2]
        assert [type(outcome) for outcome in outcomes[2:]] == [Unavailable, Unavailable]
        assert replicas.calls == [0, 1]

    run(main())


def test_other_failures_are_the_items_own() -> None:
    async def main() -> None:
        replicas = Replicas(Clock())
        wrong, odd = InvalidItem("no"), ValueError("odd")
        replicas.deaths = {1: [wrong], 2: [odd]}
        assert await asyncio.gather(*lose(replicas.retry(), [1, 2, 3]), return_exceptions=True) == [wrong, odd, 6]
        assert replicas.calls == [1, 2, 3]

    run(main())


def test_what_nobody_waits_for_any_more_is_not_tried_and_not_kept() -> None:
    async def main() -> None:
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

    run(main())
