"""What a lost replica had is tried again, within a budget.

Of a replica that died, each item goes alone, so that one that kills takes no other with it twice. Which item killed is
not guessed: an item is blamed only when its replica had begun on it alone. What a replica merely did not answer goes
in micro-batches: there is no killer to be found. No item is tried on a third replica after two had it and were lost.
Knows neither Ray nor encoders.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from dataclasses import KW_ONLY, dataclass, field
from typing import Generic, TypeVar

from app.config.args import RetryArgs
from app.dispatch.request_queue import Pending
from app.errors import DeadlineExceeded, RequestRejected, Unavailable

logger = logging.getLogger(__name__)

T = TypeVar("T")
R = TypeVar("R")

# Of the time that is left: a replica that can't be reached any more must leave some for another.
ATTEMPT_SHARE = 0.5
FIRST_PAUSE_S, MOST_PAUSE_S = 0.05, 1.0
LEAST_ATTEMPT_S = 0.05


@dataclass(eq=False)
class ReplicaLost(Exception):
    """The replica died, or did not answer in time.

    Args:
        after_s: How long the call had been under way.
        begun: It had begun on the one item of the call.
        silent: It did not answer; whether it died is not known, nor whether there was one.
    """

    after_s: float = 0.0
    _: KW_ONLY
    begun: bool = False
    silent: bool = False


@dataclass(slots=True, eq=False)
class RetryBudget:
    """A token bucket of items that first attempts fill, so that a dying cluster is not hammered. One per process."""

    args: RetryArgs
    clock: Callable[[], float] = time.monotonic
    _level: float = field(init=False)
    _at: float = field(init=False)

    def __post_init__(self) -> None:
        self._level, self._at = float(self.args.burst), self.clock()

    def earn(self, items: int) -> None:
        """So many were sent for the first time."""
        self._level = min(self.args.burst, self._level + self.args.share * items)

    def spend(self) -> bool:
        """Whether one more item may be tried again; it counts then."""
        now = self.clock()
        self._level = min(self.args.burst, self._level + self.args.per_s * (now - self._at))
        self._at = now
        if self._level < 1:
            return False
        self._level -= 1
        return True


@dataclass(slots=True, eq=False)
class _Attempt(Generic[T, R]):
    items: list[Pending[T, R]]
    alone: bool
    pause_s: float = 0.0

    @property
    def ends(self) -> float:
        return max(lost.ends for lost in self.items)


@dataclass(slots=True, eq=False)
class Retrier(Generic[T, R]):
    """Tries lost items again, in contexts of its own: it works for many requests.

    Args:
        send_alone: One item and the seconds it may take -> its result. Raises ReplicaLost.
        send: The same of several items, in order.
        batch: Items of a micro-batch.
        width: How many attempts are under way at once.
    """

    send_alone: Callable[[T, float], Awaitable[R]]
    send: Callable[[list[T], float], Awaitable[Sequence[R]]]
    budget: RetryBudget
    batch: int = 32
    width: int = 8
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    retried: int = 0
    _queue: deque[_Attempt[T, R]] = field(default_factory=deque)
    _attempts: set["asyncio.Task[None]"] = field(default_factory=set)

    def __len__(self) -> int:
        return len(self._queue) + len(self._attempts)

    def take(self, loss: ReplicaLost, lost: Sequence[Pending[T, R]]) -> None:
        """Answer these, which one call had, by their deadlines. A future that is done already is left alone."""
        size = self.batch if loss.silent else 1
        parts = [[*lost[start : start + size]] for start in range(0, len(lost), size)]
        self._queue.extend(_Attempt(part, alone=not loss.silent) for part in parts)
        self._pump()

    def _pump(self) -> None:
        while self._queue and len(self._attempts) < self.width:
            attempt = self._queue.popleft()
            attempt.items = [lost for lost in attempt.items if not lost.result.done() and self._may_go(lost)]
            if attempt.items:
                self._begin(attempt)

    def _may_go(self, lost: Pending[T, R]) -> bool:
        if lost.ends <= self.clock():
            lost.resolve(DeadlineExceeded("The request's deadline passed: its replica was lost."))
        elif not self.budget.spend():
            message = "The model's replica was lost, and too much is being tried again already."
            lost.resolve(Unavailable(message, retry_after=1))
        else:
            return True
        return False

    def _begin(self, attempt: _Attempt[T, R]) -> None:
        self.retried += len(attempt.items)
        task = asyncio.get_running_loop().create_task(self._try(attempt), context=Context())
        self._attempts.add(task)

        def left(_: "asyncio.Future[R]") -> None:
            if all(lost.result.cancelled() for lost in attempt.items):
                task.cancel()

        def over(task: "asyncio.Task[None]") -> None:
            self._attempts.discard(task)
            for lost in attempt.items:
                lost.result.remove_done_callback(left)
                if task.cancelled():
                    lost.result.cancel()
            self._pump()

        for lost in attempt.items:
            lost.result.add_done_callback(left)
        task.add_done_callback(over)

    async def _try(self, attempt: _Attempt[T, R]) -> None:
        await self.sleep(attempt.pause_s)
        items = [lost.item for lost in attempt.items]
        outcomes: Sequence[R | Exception]
        share = ATTEMPT_SHARE if attempt.alone else 1.0
        seconds = max(LEAST_ATTEMPT_S, share * (attempt.ends - self.clock()))
        try:
            if attempt.alone:
                outcomes = [await self.send_alone(items[0], seconds)]
            else:
                outcomes = await self.send(items, seconds)
            if len(outcomes) != len(items):
                raise RuntimeError(f"{len(outcomes)} results for {len(items)} items")
        except ReplicaLost as loss:
            if attempt.alone and not loss.begun:
                attempt.pause_s = min(MOST_PAUSE_S, max(FIRST_PAUSE_S, 2 * attempt.pause_s))
                self._queue.append(attempt)
                return
            outcomes = [_lost_twice(loss)] * len(attempt.items)
        except Exception as failure:  # noqa: BLE001 - handed on to the callers
            outcomes = [failure] * len(attempt.items)
        for lost, outcome in zip(attempt.items, outcomes, strict=True):
            lost.resolve(outcome)


def _lost_twice(loss: ReplicaLost) -> Exception:
    if loss.silent:
        return DeadlineExceeded("Two replicas of the model did not answer in time.")
    if not loss.begun:
        return Unavailable("Two replicas of the model were lost with this item in them.", retry_after=1)
    logger.error("an item ended a second replica, alone; it is rejected")
    return RequestRejected("Two replicas of the model died while they worked on this item. It is not tried again.")
