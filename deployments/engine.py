"""A model behind its scheduler: what `TextEngine` and Clip's images have in common."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import numpy as np
from ray import serve

from app.cache.entry import pack, sizes
from app.errors import NotFinite
from app.inference.batch_queue import BatchQueue, Slice
from app.inference.model_threads import ModelThreads
from app.inference.scheduler import EncodeJob, Scheduler
from app.inference.spans import EncoderSpans
from app.telemetry.metrics import BATCH_SIZE, QUEUED, STAGE_SECONDS, TOKENS
from app.telemetry.registry import Registry
from app.telemetry.tracing import Origins
from app.types import ModelInfo, Rows
from deployments.messages import EncodeReply


class Model(Protocol):
    """What an engine runs. `profiles` and `exclusive` are as in `app.encoders.backends.contract.Runner`."""

    profiles: tuple[bool, ...]

    def run(self, batch: Sequence[Any], /, *, exclusive: bool = False) -> Rows:
        """Items -> their rows."""


class Engine:
    """Runs the items of many calls in shared batches. `threads`: shared by the engines of one replica; `model` is
    called on them only, within `watch`. `stage`: the name of what comes before the queue."""

    def __init__(
        self,
        info: ModelInfo,
        model: Model,
        queue: BatchQueue,
        threads: ModelThreads,
        replica: str,
        registry: Registry,
        stage: str,
        watch: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self.info = info
        self.scheduler = Scheduler(queue, self._run_slice, threads.streams, ran=self._ran)
        self._model = model
        self._registry = registry
        self._stage = stage
        registry.collectors.append(lambda: registry.count(QUEUED, info.id, "encoder", by=len(queue)))
        self._watch = watch
        self._spans = EncoderSpans(info.id)
        self._threads = threads
        self.replica = replica
        self._slots = [self._batched() for _ in range(threads.streams + 1)]

    async def encode(
        self,
        inputs: Sequence[Any],
        lengths: Sequence[int],
        deadline: float,
        *,
        tokens: Sequence[int],
        truncated: Sequence[bool],
        prepare_ms: float,
        origins: Origins | None = None,
        large: bool = False,
        exclusive: bool = False,
    ) -> EncodeReply:
        """One outcome per input, in order. `lengths`: what each costs, in the queue's units. `deadline`: on the
        monotonic clock. `tokens`: what usage counts. `origins`: whose the inputs are. `large` is as in `Job`,
        `exclusive` as in `Scheduler.submit`."""
        dimensions = None if self.info.is_ragged else self.info.dimensions
        job = EncodeJob(lengths=lengths, deadline=deadline, large=large, inputs=inputs, dimensions=dimensions)
        with self._spans.call(job, origins, prepare_ms):
            await self.scheduler.submit(job, exclusive=exclusive)
        queue_s = job.started_at - job.queued_at
        registry, model = self._registry, self.info.id
        registry.observe(STAGE_SECONDS, prepare_ms / 1e3, model, self._stage)
        registry.observe(STAGE_SECONDS, queue_s, model, "queue")
        registry.count(TOKENS, model, by=sum(tokens))
        return EncodeReply(
            packed=pack(job.rows, tokens, truncated),
            sizes=sizes(job.rows),
            errors=job.errors,
            fingerprint=self.info.fingerprint,
            replica=self.replica,
            prepare_ms=prepare_ms,
            queue_ms=queue_s * 1e3,
            inference_ms=job.inference_s * 1e3,
            batches=job.batches,
        )

    def run(self, inputs: Sequence[Any], *, exclusive: bool = False) -> Rows:
        """On one of the model's threads. Raises NotFinite if the vector of the one item is not finite, RuntimeError if
        the model gives something else than finite rows for several."""
        with self._watch():
            rows = self._model.run(inputs, exclusive=exclusive)
            numbers = np.frombuffer(b"".join(rows), np.float32) if rows.dtype == object else rows
            finite = np.isfinite(numbers).all()
            if len(rows) == len(inputs) == 1 and not finite:
                raise NotFinite(f"{self.info.id} makes no finite vector of this item.")
            if len(rows) != len(inputs) or not finite:
                wrong = f"the model gave {rows.shape} for {len(inputs)} items, or numbers that are not finite"
                raise RuntimeError(wrong)
        return rows

    def probe(self, inputs: Sequence[Any]) -> None:
        """As `run`, once in each profile of the model."""
        for exclusive in self._model.profiles:
            self.run(inputs, exclusive=exclusive)

    def _ran(self, items: int, seconds: float) -> None:
        self._registry.observe(BATCH_SIZE, items, self.info.id)
        self._registry.observe(STAGE_SECONDS, seconds, self.info.id, "inference")

    async def _run_slice(self, part: Slice, slot: int = 0, *, exclusive: bool = False) -> Rows:
        if not exclusive:
            rows: Rows = await self._slots[slot](part)
            return rows
        # Past `@serve.batch`, which would add whatever else comes in this turn of the event loop.
        return (await self._run_slices([part], exclusive=True))[0]

    def _batched(self) -> Callable[[Slice], Awaitable[Rows]]:
        # Made for each slot of each engine: a decorated method would have one queue for all, and with it texts in the
        # batches of images. The scheduler decides what is in a batch and releases all of it in one turn of the event
        # loop, hence no waiting time. Serve counts the items of a batch, not the slices that they come in.
        @serve.batch(  # type: ignore[untyped-decorator]
            max_batch_size=self.scheduler.queue.max_items,
            batch_wait_timeout_s=0,
            batch_size_fn=lambda slices: sum(len(part.indices) for part in slices),
        )
        async def run_batch(slices: list[Slice]) -> list[Rows]:
            return await self._run_slices(slices)

        return run_batch  # type: ignore[no-any-return]

    async def _run_slices(self, slices: Sequence[Slice], *, exclusive: bool = False) -> list[Rows]:
        inputs = [part.job.inputs[index] for part in slices for index in part.indices]  # type: ignore[attr-defined]
        threads = self._threads.exclusive if exclusive else self._threads.slots

        def run() -> list[Rows]:
            rows = self.run(inputs, exclusive=exclusive)
            return np.split(rows, np.cumsum([len(part.indices) for part in slices])[:-1])

        with self._spans.batch(slices):
            return await asyncio.get_running_loop().run_in_executor(threads, run)
