"""TextEncoder: one replica of one text model. Tokenise → gate → `@serve.batch` → model."""

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from ray import serve

from app.batching import BatchQueue, Slice
from app.encoders import load_text_model
from app.encoders.shapes import LENGTHS, bucket
from app.entries import pack
from app.errors import ModelUnavailable
from app.gate import Gate, Work
from app.settings import ModelArgs
from app.types import TextModel, TokenizedText, Vector
from deployments.messages import EncodeReply, EncoderStatus

# Tokenising fewer texts than this costs less than handing them to a thread.
INLINE_TEXTS = 4


class TextEncoder:
    """Loads its model before it takes traffic. A model that can't be had is told to whoever asks, and does not
    take the other models down with it; any other failure ends the replica, and Serve starts another.
    """

    def __init__(self, args: ModelArgs, threads: int, offline: bool) -> None:
        self._args = args
        self._replica = _replica_tag()
        self._model: TextModel | None = None
        self._reason: str | None = None
        # One thread runs the model: it is one device, and its own threads do the parallel work.
        self._device = ThreadPoolExecutor(1, "model")
        self._workers = ThreadPoolExecutor(args.workers, "tokenize")
        try:
            self._model = load_text_model(args, threads=threads, offline=offline)
        except ModelUnavailable as error:
            self._reason = error.message
            return
        self._queue = BatchQueue(args.batch_size, args.batch_tokens, partial(bucket, grid=LENGTHS))
        self._gate = Gate(self._queue, self._run_slice)

    async def encode(self, texts: Sequence[str], timeout_s: float) -> EncodeReply:
        """One outcome per text, in order. `timeout_s`: after that nobody waits for the rest any more."""
        model = self._require()
        arrived = time.perf_counter()
        if len(texts) <= INLINE_TEXTS:
            tokenized = model.tokenize(texts)
        else:
            tokenized = await asyncio.get_running_loop().run_in_executor(self._workers, model.tokenize, texts)
        queued = time.perf_counter()
        work = _work(tokenized, model.info.dimensions, time.monotonic() + timeout_s)
        await self._gate.submit(work)
        return EncodeReply(
            packed=pack(work.rows, work.lengths, [text.truncated for text in tokenized]),
            errors=work.errors,
            fingerprint=model.info.fingerprint,
            replica=self._replica,
            tokenize_ms=(queued - arrived) * 1e3,
            queue_ms=(work.started_at - work.queued_at) * 1e3,
            inference_ms=work.inference_s * 1e3,
            batches=work.batches,
        )

    async def status(self) -> EncoderStatus:
        if self._model is None:
            return EncoderStatus(self._replica, None, self._reason)
        gate = self._gate
        return EncoderStatus(self._replica, self._model.info, None, gate.items_run, gate.batches_run)

    async def _run_slice(self, part: Slice) -> Vector:
        rows: Vector = await self._run_batch(part)
        return rows

    # The gate decides what is in a batch and hands all of it over in one turn of the loop; the wrapper only
    # gathers it (hence no waiting time) and keeps Serve's batch metrics. Two: one runs, one full one in reserve.
    @serve.batch(max_batch_size=128, batch_wait_timeout_s=0, max_concurrent_batches=2)  # type: ignore[untyped-decorator]
    async def _run_batch(self, slices: list[Slice]) -> list[Vector]:
        return await asyncio.get_running_loop().run_in_executor(self._device, self._run_model, slices)

    def _run_model(self, slices: list[Slice]) -> list[Vector]:
        assert self._model is not None  # noqa: S101 - `encode` has checked
        ids = [part.job.inputs[index] for part in slices for index in part.indices]  # type: ignore[attr-defined]
        rows = self._model.run(ids)
        if len(rows) != len(ids) or not np.isfinite(rows).all():
            raise RuntimeError(f"the model gave {rows.shape} for {len(ids)} texts, or numbers that are not finite")
        return np.split(rows, np.cumsum([len(part.indices) for part in slices])[:-1])

    def _require(self) -> TextModel:
        if self._model is None:
            raise ModelUnavailable(f"{self._args.id} is unavailable: {self._reason}", "model")
        return self._model


def _work(tokenized: Sequence[TokenizedText], dimensions: int, deadline: float) -> Work:
    return Work(
        lengths=[len(text.ids) for text in tokenized],
        deadline=deadline,
        inputs=[text.ids for text in tokenized],
        dimensions=dimensions,
    )


def _replica_tag() -> str:
    return str(serve.get_replica_context().replica_id.unique_id)
