"""The scheduler in front of the model: items wait here, outside `@serve.batch`, until the model is free.

`@serve.batch` closes a batch on its timer and only then waits for the model, so under load it would queue many
small batches. The scheduler releases as many micro-batches as the model runs at once, plus a full one in reserve so
that the model never waits for Python. It knows neither Ray nor the model."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, cast

import numpy as np

from app.errors import DeadlineExceeded, InternalError, ServiceError, without_paths
from app.inference.batch_queue import BatchQueue, Job, Slice
from app.types import Rows

logger = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class EncodeJob(Job):
    """A job with its inputs and results: `rows` is (n, dimensions), or n objects where that is None, filled as
    micro-batches finish; `errors` are by the index of a failed item; `inference_s` is how long at least one of its
    micro-batches was running."""

    inputs: Sequence[object] = ()
    dimensions: int | None = 0
    rows: Rows = field(init=False)
    errors: dict[int, ServiceError] = field(default_factory=dict)
    batches: int = 0
    queued_at: float = 0.0
    started_at: float = 0.0
    inference_s: float = 0.0
    _runs: int = 0
    _running_since: float = 0.0
    open: int = field(init=False)
    done: "asyncio.Future[None]" = field(init=False)

    def __post_init__(self) -> None:
        self.open = len(self.lengths)
        items = len(self.lengths)
        ragged = self.dimensions is None
        self.rows = np.full(items, b"", object) if ragged else np.zeros((items, self.dimensions or 0), np.float32)
        self.done = asyncio.get_running_loop().create_future()

    def begin(self, now: float) -> None:
        """A micro-batch of it begins; others of it may be running."""
        if self._runs == 0:
            self._running_since = now
        self._runs += 1

    def end(self, now: float) -> None:
        self._runs -= 1
        if self._runs == 0:
            self.inference_s += now - self._running_since

    def settle(self, count: int) -> None:
        self.open -= count
        if self.open <= 0 and not self.done.done():
            self.done.set_result(None)


class RunSlice(Protocol):
    """Runs one slice, on slot 0 .. streams. What one slot is given in one turn of the event loop runs as one batch.
    `exclusive`: one item in a batch of its own; unless it is run again after a failure, nothing else runs now."""

    def __call__(self, part: Slice, slot: int = 0, *, exclusive: bool = False) -> Awaitable[Rows]: ...


@dataclass(slots=True, eq=False)
class Scheduler:
    """Feeds the model, which runs `streams` micro-batches at once, from the queue. The queue's deadlines are on
    `clock`; `ran` is called with the items and the seconds of each run."""

    queue: BatchQueue
    run: RunSlice
    streams: int = 1
    clock: Callable[[], float] = time.monotonic
    items_run: int = 0
    batches_run: int = 0
    ran: Callable[[int, float], None] = lambda items, seconds: None
    _busy: set[int] = field(default_factory=set)  # slots
    _quiet: bool = True  # nothing arrived while the last micro-batch was running
    _tasks: set["asyncio.Task[None]"] = field(default_factory=set)

    async def submit(self, job: EncodeJob, *, exclusive: bool = False) -> None:
        """Return when every item of `job` has its row or its error. `exclusive`: each runs in a batch of its own, past
        the queue: one of them may be why a replica ended."""
        job.queued_at = self.clock()
        if not job.lengths:
            return
        if exclusive:
            job.started_at = job.queued_at
            for index in range(len(job.lengths)):
                job.batches += 1
                await self._run_item(job, index)
            return
        self._quiet = self._quiet and not self._busy
        self.queue.push(job)
        self._pump()
        try:
            await job.done
        except asyncio.CancelledError:
            self.queue.drop(job)
            raise

    def _pump(self) -> None:
        while len(self._busy) < self.streams or (len(self._busy) == self.streams and self.queue.full()):
            slices = self.queue.pop(self.clock(), self.streams - len(self._busy), self.streams)
            while self.queue.late:
                late = cast(EncodeJob, self.queue.late.pop())
                if not late.done.done():
                    message = "The request's deadline passed while it waited for the model."
                    late.done.set_exception(DeadlineExceeded(message))
            if not slices:
                return
            single = sum(len(part.indices) for part in slices) == 1
            exclusive = single and not self._busy and self._quiet and not self.queue
            self._quiet = self._quiet or not self._busy
            free = [slot for slot in range(self.streams + 1) if slot not in self._busy]
            # An exclusive run keeps all slots, also the one in reserve: the other streams have threads of their own.
            slots = free if exclusive and self.streams > 1 else free[:1]
            self._busy.update(slots)
            task = asyncio.get_running_loop().create_task(self._run(slices, slots, exclusive))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _run(self, slices: list[Slice], slots: list[int], exclusive: bool) -> None:
        started = self.clock()
        # Only such jobs are ever pushed.
        jobs = [cast(EncodeJob, part.job) for part in slices]
        for job in jobs:
            job.begin(started)
        beside = len(self._busy) - len(slots)
        runs = [self.run(part, slots[0], exclusive=exclusive) for part in slices]
        try:
            results = await asyncio.gather(*runs, return_exceptions=True)
        finally:
            self._busy.difference_update(slots)
        ended = self.clock()
        seconds = ended - started
        for job in jobs:
            job.end(ended)
        # The time of a batch that waited in reserve, or ran beside one that did, is not its own cost.
        in_turn = max(beside, len(self._busy)) < self.streams
        lengths = [part.job.lengths[index] for part in slices for index in part.indices]
        self.items_run += len(lengths)
        self.batches_run += 1
        self.ran(len(lengths), seconds)
        if in_turn:
            self.queue.observe(len(lengths) * self.queue.bucket(max(lengths)), seconds / (beside + 1))
        # The model is free: the next batch starts before this one's callers are served.
        self._pump()
        failed: list[tuple[EncodeJob, Slice, Rows | BaseException]] = []
        for job, part, result in zip(jobs, slices, results, strict=True):
            job.started_at = job.started_at or started
            job.batches += 1
            if _placed(job, part.indices, result):
                job.settle(len(part.indices))
            else:
                failed.append((job, part, result))
        for job, part, result in failed:
            await self._isolate(job, part, result)
            job.settle(len(part.indices))

    async def _isolate(self, job: EncodeJob, part: Slice, failure: Rows | BaseException) -> None:
        """A failed batch is run again item by item: one bad item costs its own caller only."""
        if len(part.indices) == 1 and isinstance(failure, ServiceError):
            job.errors[part.indices[0]] = failure
            return
        for index in part.indices:
            if job.done.done():
                return  # its caller is gone
            await self._run_item(job, index)

    async def _run_item(self, job: EncodeJob, index: int) -> None:
        job.begin(self.clock())
        # Gathered, as in `_run`: whatever the model raises is this item's result, a cancellation too.
        [result] = await asyncio.gather(self.run(Slice(job, [index]), exclusive=True), return_exceptions=True)
        job.end(self.clock())
        if isinstance(result, ServiceError):
            job.errors[index] = result
        elif not _placed(job, [index], result):
            cause = result if isinstance(result, BaseException) else None
            logger.error("the model failed on one item", exc_info=cause)
            job.errors[index] = InternalError(f"The model failed on this item ({_reason(cause)}).")


def _reason(cause: BaseException | None) -> str:
    """For a client: what the model said, without paths and not all of it."""
    if cause is None:
        return "wrong shape"
    words = without_paths(str(cause)).strip().partition("\n")[0]
    return f"{type(cause).__name__}: {words[:200]}".removesuffix(": ")


def _placed(job: EncodeJob, indices: list[int], result: Rows | BaseException) -> bool:
    """Put rows in their places; False if they are not one row of the right length per item."""
    if not isinstance(result, np.ndarray) or result.shape != (len(indices), *job.rows.shape[1:]):
        return False
    job.rows[indices] = result
    return True
