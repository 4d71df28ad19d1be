"""What a lost replica had is tried again, each item alone, so that one that kills takes no other with it twice.

Which item killed is not guessed: an item is blamed only when its replica had begun on it, and on nothing else that
was lost before. What merely shared a process with it is tried again. Knows neither Ray nor encoders.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from app.dispatch.retry_budget import RetryBudget
from app.errors import DeadlineExceeded, RequestRejected, Unavailable

logger = logging.getLogger(__name__)

T = TypeVar("T")
R = TypeVar("R")

# Of the time that is left: a replica that nobody can reach any more must leave some for another.
ATTEMPT_SHARE = 0.5
FIRST_PAUSE_S, MOST_PAUSE_S = 0.05, 1.0
LEAST_ATTEMPT_S = 0.05


class ReplicaLost(Exception):
    """The replica died, or did not answer in time.

    Args:
        after_s: How long the call had been under way.
        begun: It died, and had begun on the one item of the call.
        silent: It did not answer; whether it died is not known, nor whether there was one.
    """

    def __init__(self, after_s: float = 0.0, *, begun: bool = False, silent: bool = False) -> None:
        super().__init__(after_s, begun, silent)
        self.after_s = after_s
        self.begun = begun
        self.silent = silent


@dataclass(slots=True, eq=False)
class _Lost(Generic[T, R]):
    item: T
    result: "asyncio.Future[R]"
    ends: float
    pause_s: float = 0.0


@dataclass(slots=True, eq=False)
class Retrier(Generic[T, R]):
    """Tries lost items again.

    Args:
        send: One item and the seconds it may take -> its result. Raises ReplicaLost.
        budget: How many may be tried again.
        width: How many are under way at once.
        clock: Seconds.
        sleep: Waits so many.
    """

    send: Callable[[T, float], Awaitable[R]]
    budget: RetryBudget
    width: int = 8
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    retried: int = 0
    _queue: deque[_Lost[T, R]] = field(default_factory=deque)
    _attempts: set["asyncio.Task[None]"] = field(default_factory=set)

    def __len__(self) -> int:
        return len(self._queue) + len(self._attempts)

    def take(self, lost: "Sequence[tuple[T, asyncio.Future[R]]]", ends: float) -> None:
        """Answer these by `ends`, on the clock. A future that is done already is left alone."""
        self._queue.extend(_Lost(item, result, ends) for item, result in lost)
        self._pump()

    def _pump(self) -> None:
        while self._queue and len(self._attempts) < self.width:
            lost = self._queue.popleft()
            if lost.result.done():
                continue
            if lost.ends <= self.clock():
                lost.result.set_exception(DeadlineExceeded("The request's deadline passed: its replica was lost."))
            elif not self.budget.spend():
                words = "The model's replica was lost, and too much is being tried again already."
                lost.result.set_exception(Unavailable(words, retry_after=1))
            else:
                self._begin(lost)

    def _begin(self, lost: _Lost[T, R]) -> None:
        self.retried += 1
        attempt = asyncio.get_running_loop().create_task(self._attempt(lost))
        self._attempts.add(attempt)

        def nobody_waits(result: "asyncio.Future[R]") -> None:
            if result.cancelled():
                attempt.cancel()

        def over(attempt: "asyncio.Task[None]") -> None:
            self._attempts.discard(attempt)
            lost.result.remove_done_callback(nobody_waits)
            if attempt.cancelled():
                lost.result.cancel()
            self._pump()

        lost.result.add_done_callback(nobody_waits)
        attempt.add_done_callback(over)

    async def _attempt(self, lost: _Lost[T, R]) -> None:
        await self.sleep(lost.pause_s)
        seconds = max(LEAST_ATTEMPT_S, ATTEMPT_SHARE * (lost.ends - self.clock()))
        try:
            result = await self.send(lost.item, seconds)
        except ReplicaLost as loss:
            if loss.begun:
                logger.error("an item ended a second replica, alone; it is rejected")
                words = "Two replicas of the model died while they worked on this item. It is not tried again."
                error: Exception = RequestRejected(words)
            else:
                lost.pause_s = min(MOST_PAUSE_S, max(FIRST_PAUSE_S, 2 * lost.pause_s))
                self._queue.append(lost)
                return
        except Exception as failure:  # noqa: BLE001 - handed on to the caller
            error = failure
        else:
            if not lost.result.done():
                lost.result.set_result(result)
            return
        if not lost.result.done():
            lost.result.set_exception(error)
