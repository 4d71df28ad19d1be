"""The gate in front of the model: requests wait here, outside `@serve.batch`, until the model is free.

`@serve.batch` closes a batch on its timer and only then waits for the model, so under load it would queue many
small batches. The gate holds everything back and hands over one micro-batch at a time, plus one full
micro-batch in reserve so that the model never waits for Python. It knows neither Ray nor the model.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from app.batching import BatchQueue, Job, Slice
from app.errors import DeadlineExceeded, InternalError, ServiceError
from app.types import Vector

logger = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Work(Job):
    """A job with its inputs and what has become of them.

    `rows` is (n, dimensions), filled as micro-batches finish; `errors` maps the index of a failed item.
    """

    inputs: Sequence[object] = ()
    dimensions: int = 0
    rows: Vector = field(init=False)
    errors: dict[int, ServiceError] = field(default_factory=dict)
    batches: int = 0
    queued_at: float = 0.0
    started_at: float = 0.0
    inference_s: float = 0.0
    open: int = field(init=False)
    done: "asyncio.Future[None]" = field(init=False)

    def __post_init__(self) -> None:
        self.open = len(self.lengths)
        self.rows = np.zeros((len(self.lengths), self.dimensions), np.float32)
        self.done = asyncio.get_running_loop().create_future()

    def settle(self, count: int) -> None:
        self.open -= count
        if self.open <= 0 and not self.done.done():
            self.done.set_result(None)


RunSlice = Callable[[Slice], Awaitable[Vector]]


@dataclass(slots=True, eq=False)
class Gate:
    """Feeds the model from the queue.

    Args:
        queue: Holds what waits and plans what runs next.
        run: Runs one slice; slices handed over in one turn of the loop run as one batch.
        clock: Seconds; the queue's deadlines are on it.
        ran: Told the items and the seconds of each run.
    """

    queue: BatchQueue
    run: RunSlice
    clock: Callable[[], float] = time.monotonic
    items_run: int = 0
    batches_run: int = 0
    ran: Callable[[int, float], None] = lambda items, seconds: None
    _running: int = 0
    _tasks: set["asyncio.Task[None]"] = field(default_factory=set)

    async def submit(self, work: Work) -> None:
        """Return when every item of `work` has its row or its error."""
        work.queued_at = self.clock()
        if not work.lengths:
            return
        self.queue.push(work, work.queued_at)
        self._pump()
        try:
            await work.done
        except asyncio.CancelledError:
            self.queue.drop(work)
            raise

    def _pump(self) -> None:
        while self._running == 0 or (self._running == 1 and self.queue.full()):
            slices = self.queue.pop(self.clock())
            self._refuse_late()
            if not slices:
                return
            self._running += 1
            task = asyncio.get_running_loop().create_task(self._run(slices))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _refuse_late(self) -> None:
        while self.queue.late:
            work = self.queue.late.pop()
            if isinstance(work, Work) and not work.done.done():
                work.done.set_exception(
                    DeadlineExceeded("The request's deadline passed while it waited for the model.")
                )

    async def _run(self, slices: list[Slice]) -> None:
        started = self.clock()
        alone = self._running == 1
        try:
            results = await asyncio.gather(*(self.run(part) for part in slices), return_exceptions=True)
        finally:
            self._running -= 1
        seconds = self.clock() - started
        self._observe(slices, seconds, alone and self._running == 0)
        # The model is free: the next batch starts before this one's callers are served.
        self._pump()
        failed: list[tuple[Work, Slice, Vector | BaseException]] = []
        for part, result in zip(slices, results, strict=True):
            work = part.job
            assert isinstance(work, Work)  # noqa: S101 - only Work is ever pushed
            work.started_at = work.started_at or started
            work.inference_s += seconds
            work.batches += 1
            if _placed(work, part.indices, result):
                work.settle(len(part.indices))
            else:
                failed.append((work, part, result))
        for work, part, result in failed:
            await self._isolate(work, part, result)
            work.settle(len(part.indices))

    def _observe(self, slices: list[Slice], seconds: float, alone: bool) -> None:
        lengths = [part.job.lengths[index] for part in slices for index in part.indices]
        self.items_run += len(lengths)
        self.batches_run += 1
        self.ran(len(lengths), seconds)
        if alone:  # a batch that shared the model with another says nothing of its own cost
            self.queue.observe(len(lengths) * self.queue.bucket(max(lengths)), seconds)

    async def _isolate(self, work: Work, part: Slice, failure: Vector | BaseException) -> None:
        """A failed batch is run again item by item: one bad item costs its own caller only."""
        if len(part.indices) == 1 and isinstance(failure, ServiceError):
            work.errors[part.indices[0]] = failure
            return
        for index in part.indices:
            if work.done.done():
                return  # nobody waits for it any more
            # Gathered, as in `_run`: whatever the model raised is this item's outcome, a cancellation too.
            [again] = await asyncio.gather(self.run(Slice(work, [index])), return_exceptions=True)
            if isinstance(again, ServiceError):
                work.errors[index] = again
            elif not _placed(work, [index], again):
                cause = again if isinstance(again, BaseException) else None
                logger.error("the model failed on one item", exc_info=cause)
                work.errors[index] = failed_on_item(cause)


def failed_on_item(cause: BaseException | None) -> ServiceError:
    """What its caller is told of an item that the model failed on, alone. No cause: its row was none."""
    if isinstance(cause, ServiceError):
        return cause
    return InternalError(f"The model failed on this item ({type(cause).__name__ if cause else 'wrong shape'}).")


def _placed(work: Work, indices: list[int], result: Vector | BaseException) -> bool:
    """Put rows in their places; False when they are none, or not one row of the right length per item."""
    if not isinstance(result, np.ndarray) or result.shape != (len(indices), work.dimensions):
        return False
    work.rows[indices] = result
    return True
