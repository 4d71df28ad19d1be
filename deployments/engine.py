"""One graph of a model behind its scheduler: what TextEncoder and Clip have in common."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
from ray import serve

from app.cache.entry import pack
from app.errors import ServiceError
from app.inference.batch_queue import BatchQueue, Slice
from app.inference.model_threads import ModelThreads
from app.inference.scheduler import EncodeJob, Scheduler, failed_on_item
from app.inference.spans import EncoderSpans
from app.telemetry.metrics import BATCH_SIZE, QUEUED, STAGE_SECONDS, TOKENS
from app.telemetry.registry import Registry
from app.telemetry.tracing import Origins
from app.types import ModelInfo, Vector
from deployments.messages import EncodeReply

logger = logging.getLogger(__name__)


class Engine:
    """Runs items of many calls in shared batches.

    Args:
        info: The model's.
        run: Items -> (n, dimensions); called on the threads's threads only.
        run_alone: The same, for an item with nothing beside it.
        queue: Plans the batches.
        threads: Towers of one model share it.
        replica: This replica's name, told in replies.
        registry: Counts calls and runs.
        watch: Entered on the threads's thread for each run.
        stage: What comes before the queue.
    """

    def __init__(
        self,
        info: ModelInfo,
        run: Callable[[Sequence[Any]], Vector],
        queue: BatchQueue,
        threads: ModelThreads,
        replica: str,
        registry: Registry,
        stage: str,
        watch: Callable[[], AbstractContextManager[None]],
        run_alone: Callable[[Sequence[Any]], Vector] | None = None,
    ) -> None:
        self.info = info
        self.scheduler = Scheduler(queue, self._run_slice, self._run_slice_alone, threads.streams, ran=self._ran)
        self._registry = registry
        self._stage = stage
        registry.collectors.append(self._collect)
        self._run = run
        self._run_alone = run_alone or run
        self._watch = watch
        self._spans = EncoderSpans(info.id)
        self._threads = threads
        self._replica = replica
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
    ) -> EncodeReply:
        """One outcome per input, in order.

        Args:
            lengths: What each input costs, in the queue's units.
            deadline: On the monotonic clock.
            tokens: What usage counts, per input.
            origins: Whose the inputs are, where they are traced.
        """
        work = EncodeJob(lengths=lengths, deadline=deadline, inputs=inputs, dimensions=self.info.dimensions)
        with self._spans.call(work, origins, prepare_ms):
            await self.scheduler.submit(work)
        queue_s = work.started_at - work.queued_at
        registry, model = self._registry, self.info.id
        registry.observe(STAGE_SECONDS, prepare_ms / 1e3, model, self._stage)
        registry.observe(STAGE_SECONDS, queue_s, model, "queue")
        registry.count(TOKENS, model, by=sum(tokens))
        return EncodeReply(
            packed=pack(work.rows, tokens, truncated),
            errors=work.errors,
            fingerprint=self.info.fingerprint,
            replica=self._replica,
            prepare_ms=prepare_ms,
            queue_ms=queue_s * 1e3,
            inference_ms=work.inference_s * 1e3,
            took_ms=prepare_ms + (time.monotonic() - work.queued_at) * 1e3,
            batches=work.batches,
        )

    async def encode_alone(self, given: Any, *, tokens: int, truncated: bool, prepare_ms: float) -> EncodeReply:
        """One input in a run of its own, past the queue: it may be what ended another replica."""
        began = time.monotonic()
        rows: Vector = np.zeros((1, self.info.dimensions), np.float32)
        errors: dict[int, ServiceError] = {}
        try:
            rows = await asyncio.get_running_loop().run_in_executor(self._threads.exclusive, self.run_alone, [given])
        except Exception as error:
            logger.exception("the model failed on one item")
            errors[0] = failed_on_item(error)
        self._registry.count(TOKENS, self.info.id, by=tokens)
        inference_ms = (time.monotonic() - began) * 1e3
        return EncodeReply(
            packed=pack(rows, [tokens], [truncated]),
            errors=errors,
            fingerprint=self.info.fingerprint,
            replica=self._replica,
            prepare_ms=prepare_ms,
            queue_ms=0.0,
            inference_ms=inference_ms,
            took_ms=prepare_ms + inference_ms,
            batches=1,
        )

    def _ran(self, items: int, seconds: float) -> None:
        self._registry.observe(BATCH_SIZE, items, self.info.id)
        self._registry.observe(STAGE_SECONDS, seconds, self.info.id, "inference")

    def _collect(self) -> None:
        self._registry.count(QUEUED, self.info.id, "encoder", by=len(self.scheduler.queue))

    async def _run_slice(self, part: Slice, slot: int) -> Vector:
        rows: Vector = await self._slots[slot](part)
        return rows

    async def _run_slice_alone(self, part: Slice) -> Vector:
        # Past `@serve.batch`, which would put what else comes in this turn of the loop beside it.
        inputs = [part.job.inputs[index] for index in part.indices]  # type: ignore[attr-defined]
        with self._spans.batch([part]):
            return await asyncio.get_running_loop().run_in_executor(self._threads.exclusive, self.run_alone, inputs)

    def _batched(self) -> Callable[[Slice], Awaitable[Vector]]:
        # Made for each slot of each engine: a decorated method would have one queue for all, and with it texts in the
        # batches of images. The scheduler decides what is in a batch and hands all of it over in one turn of the
        # loop; the wrapper only gathers it (hence no waiting time) and keeps Serve's batch metrics.
        @serve.batch(max_batch_size=128, batch_wait_timeout_s=0)  # type: ignore[untyped-decorator]
        async def run_batch(slices: list[Slice]) -> list[Vector]:
            with self._spans.batch(slices):
                return await asyncio.get_running_loop().run_in_executor(self._threads.slots, self._run_model, slices)

        return run_batch  # type: ignore[no-any-return]

    def _run_model(self, slices: list[Slice]) -> list[Vector]:
        inputs = [part.job.inputs[index] for part in slices for index in part.indices]  # type: ignore[attr-defined]
        rows = self._checked(self._run, inputs)
        return np.split(rows, np.cumsum([len(part.indices) for part in slices])[:-1])

    def run_alone(self, inputs: Sequence[Any]) -> Vector:
        """On the threads's thread. Raises RuntimeError on rows that are none."""
        return self._checked(self._run_alone, inputs)

    def run_each(self, inputs: Sequence[Any]) -> None:
        """The same in each form that the model has."""
        self._checked(self._run, inputs)
        if self._run_alone is not self._run:
            self._checked(self._run_alone, inputs)

    def _checked(self, run: Callable[[Sequence[Any]], Vector], inputs: Sequence[Any]) -> Vector:
        with self._watch():
            rows = run(inputs)
            if len(rows) != len(inputs) or not np.isfinite(rows).all():
                wrong = f"the model gave {rows.shape} for {len(inputs)} items, or numbers that are not finite"
                raise RuntimeError(wrong)
        return rows


def replica_name() -> str:
    """This replica's unique name, as Serve's own log and status have it."""
    return str(serve.get_replica_context().replica_id.unique_id)
