"""One graph of a model behind its gate: what TextEncoder and Clip have in common."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Any

import numpy as np
from ray import serve

from app.batching import BatchQueue, Slice
from app.entries import pack
from app.gate import Gate, Work
from app.types import ModelInfo, Vector
from deployments.messages import EncodeReply


class Tower:
    """Runs items of many calls in shared batches.

    Args:
        info: The model's.
        run: Items -> (n, dimensions); called on `device` only, so by one thread at a time.
        queue: Plans the batches.
        device: An executor of one thread; towers of one model share it.
        replica: This replica's name, told in replies.
    """

    def __init__(
        self, info: ModelInfo, run: Callable[[Sequence[Any]], Vector], queue: BatchQueue, device: Executor, replica: str
    ) -> None:
        self.info = info
        self.gate = Gate(queue, self._run_slice)
        self._run = run
        self._device = device
        self._replica = replica

    async def encode(
        self,
        inputs: Sequence[Any],
        lengths: Sequence[int],
        deadline: float,
        *,
        tokens: Sequence[int],
        truncated: Sequence[bool],
        prepare_ms: float,
    ) -> EncodeReply:
        """One outcome per input, in order.

        Args:
            lengths: What each input costs, in the queue's units.
            deadline: On the monotonic clock.
            tokens: What usage counts, per input.
        """
        work = Work(lengths=lengths, deadline=deadline, inputs=inputs, dimensions=self.info.dimensions)
        await self.gate.submit(work)
        return EncodeReply(
            packed=pack(work.rows, tokens, truncated),
            errors=work.errors,
            fingerprint=self.info.fingerprint,
            replica=self._replica,
            prepare_ms=prepare_ms,
            queue_ms=(work.started_at - work.queued_at) * 1e3,
            inference_ms=work.inference_s * 1e3,
            batches=work.batches,
        )

    async def _run_slice(self, part: Slice) -> Vector:
        rows: Vector = await self._run_batch(part)
        return rows

    # The gate decides what is in a batch and hands all of it over in one turn of the loop; the wrapper only
    # gathers it (hence no waiting time) and keeps Serve's batch metrics. Two: one runs, one full one in reserve.
    @serve.batch(max_batch_size=128, batch_wait_timeout_s=0, max_concurrent_batches=2)  # type: ignore[untyped-decorator]
    async def _run_batch(self, slices: list[Slice]) -> list[Vector]:
        return await asyncio.get_running_loop().run_in_executor(self._device, self._run_model, slices)

    def _run_model(self, slices: list[Slice]) -> list[Vector]:
        inputs = [part.job.inputs[index] for part in slices for index in part.indices]  # type: ignore[attr-defined]
        rows = self._run(inputs)
        if len(rows) != len(inputs) or not np.isfinite(rows).all():
            raise RuntimeError(f"the model gave {rows.shape} for {len(inputs)} items, or numbers that are not finite")
        return np.split(rows, np.cumsum([len(part.indices) for part in slices])[:-1])


def replica_name() -> str:
    """This replica's unique name, as Serve's own log and status have it."""
    return str(serve.get_replica_context().replica_id.unique_id)
