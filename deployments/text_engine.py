"""TextEngine: a text model's tokenizer on threads of its own, before its engine."""

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from app.cache.entry import pack
from app.config.args import ModelArgs
from app.encoders import shapes
from app.encoders.late import Window
from app.encoders.text import TextModel
from app.errors import InvalidItem, NotFinite, ServiceError
from app.inference.batch_queue import BatchQueue
from app.inference.health_probe import HealthProbe
from app.inference.model_threads import ModelThreads
from app.telemetry.metrics import TOKENS
from app.telemetry.registry import Registry
from app.telemetry.tracing import Origins
from app.types import ModelInfo, Span, TextInput, Vector
from deployments.engine import Engine
from deployments.messages import EncodeReply

INLINE_TEXTS = 4  # tokenising fewer texts than this costs less than handing them to a thread


class TextEngine:
    """Tokenises texts and runs them; warmed when it is made."""

    def __init__(
        self,
        model: TextModel,
        info: ModelInfo,
        args: ModelArgs,
        threads: ModelThreads,
        replica: str,
        registry: Registry,
    ) -> None:
        threads.widen(model.streams)
        # Each stream has the memory that its largest run needs; of half as many tokens a batch is no less efficient.
        tokens = args.batch_tokens if model.streams == 1 else max(1, args.batch_tokens // 2)
        threads.exclusive.submit(model.warm, shapes.warmed(args.batch_size, tokens, model.lengths)).result()
        queue = BatchQueue(args.batch_size, tokens, partial(shapes.bucket, grid=model.lengths))
        # It stands in for a text that can't be read, and its row is not sent. The probe runs it too.
        self._empty = model.tokenize([""], "")[0]
        self.probe = HealthProbe(lambda: self.engine.probe([self._empty.ids]), threads.exclusive)
        self.engine = Engine(info, model, queue, threads, replica, registry, "tokenize", self.probe.watch)
        self._model = model
        self._workers = ThreadPoolExecutor(args.workers, "tokenize")
        self._threads, self._registry = threads.exclusive, registry

    async def on_workers(self, method: str, *args: Any) -> Any:
        """What a method of the model's tokenizer makes of these."""
        return await asyncio.get_running_loop().run_in_executor(self._workers, getattr(self._model, method), *args)

    async def pool_spans(self, text: str, spans: Sequence[Span], prompt: str | None) -> EncodeReply:
        """A vector of each span of one text, by the tokens that it has in all of it; `batches` counts its windows."""
        loop, arrived = asyncio.get_running_loop(), time.monotonic()
        windows = await loop.run_in_executor(self._workers, self._model.windows, text, spans, prompt)
        began = time.monotonic()
        info = self.engine.info
        rows = np.empty((len(spans), info.dimensions), np.float32)
        tokens = np.empty(len(spans), np.int64)
        for window in windows:
            # One at a time: what else came meanwhile is run between them.
            rows[window.chunks] = await loop.run_in_executor(self._threads, self._pool, window)
            tokens[window.chunks] = [end - first for first, end in window.spans]
        finite = np.isfinite(rows).all(axis=1)
        if not finite.all():
            raise NotFinite(f"{info.id} makes no finite vector of this item.", str(finite.argmin()))
        self._registry.count(TOKENS, info.id, by=sum(len(window.ids) for window in windows))
        return EncodeReply(
            packed=pack(rows, tokens.tolist(), [False] * len(spans)),
            errors={},
            fingerprint=info.fingerprint,
            replica=self.engine.replica,
            prepare_ms=(began - arrived) * 1e3,
            queue_ms=0.0,
            inference_ms=(time.monotonic() - began) * 1e3,
            batches=len(windows),
        )

    def _pool(self, window: Window) -> Vector:
        with self.probe.watch():
            return self._model.pool(window).copy()

    async def encode(
        self, texts: Sequence[TextInput], timeout_s: float, origins: Origins | None = None, **kind: bool
    ) -> EncodeReply:
        """One outcome per text, in order; `kind`: `large` or `exclusive`, as in `Engine.encode`."""
        arrived = time.monotonic()
        if len(texts) <= INLINE_TEXTS:
            read = self._model.read(texts)
        else:
            read = await asyncio.get_running_loop().run_in_executor(self._workers, self._model.read, texts)
        invalid: dict[int, ServiceError] = {i: text for i, text in enumerate(read) if isinstance(text, InvalidItem)}
        tokenized = [self._empty if isinstance(text, InvalidItem) else text for text in read]
        lengths = [len(text.ids) for text in tokenized]
        reply = await self.engine.encode(
            [text.ids for text in tokenized],
            lengths,
            arrived + timeout_s,
            tokens=lengths,
            truncated=[text.truncated for text in tokenized],
            prepare_ms=(time.monotonic() - arrived) * 1e3,
            origins=origins,
            **kind,
        )
        return replace(reply, errors=reply.errors | invalid) if invalid else reply
