"""Clip: one replica of one image model, with both towers, whose vectors compare."""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np

from app.config.args import Backup, ModelArgs, ServeBypass, TracingArgs
from app.encoders import ClipModel, load_clip_model
from app.errors import ModelUnavailable
from app.inference.batch_queue import BatchQueue
from app.inference.model_threads import ModelThreads
from app.telemetry.tracing import OFF, Origins
from app.types import TextInput, Token
from deployments.encoder_replica import load_with_backup, noted
from deployments.engine import Engine, replica_name
from deployments.logs import join_serve_log
from deployments.messages import EncodeReply, EncoderStatus
from deployments.serve_internals.rpc import RpcEndpoint, serve_rpc
from deployments.telemetry import begin_traces, end_traces, reporter
from deployments.text_encoder import TextEngine


class Clip:
    """Loads its model before it takes traffic; see `TextEncoder` for a model that can't be had."""

    def __init__(
        self,
        args: ModelArgs,
        threads: int,
        offline: bool,
        backup: Backup | None = None,
        traces: TracingArgs = OFF,
        serve_bypass: ServeBypass = "auto",
    ) -> None:
        self._id = args.name
        self._serve_bypass = serve_bypass
        self._replica = replica_name()
        self._calls: RpcEndpoint | None = None
        self._suspects = asyncio.Lock()
        join_serve_log()
        begin_traces(traces)
        self._reporter = reporter()
        registry = self._reporter.registry
        load = partial(load_clip_model, threads=threads, offline=offline)
        model_threads = ModelThreads()
        self._model, note, self._reason = model_threads.exclusive.submit(load_with_backup, load, args, backup).result()
        if self._model is None:
            return
        model, self._info = self._model, noted(self._model.info, note)
        model_threads.exclusive.submit(model.image.warm, args.batch_size).result()
        self._texts = TextEngine(model.text, self._info, args, model_threads, self._replica, registry)
        # An image is one item whatever its size was: all are scaled to what the model reads.
        queue = BatchQueue(args.batch_size, args.batch_size, lambda length: length)
        self._images = Engine(
            self._info,
            model.image.run,
            queue,
            model_threads,
            self._replica,
            registry,
            "normalize",
            self._texts.probe.watch,
        )
        self._workers = ThreadPoolExecutor(args.workers, "normalize")

    async def record_replica_metadata(self) -> dict[str, Any]:
        """As `TextEncoder`'s."""
        self._calls, end = await serve_rpc(self, "encode_texts", "encode_images", setting=self._serve_bypass)
        return end

    async def __del__(self) -> None:
        if self._calls is not None:
            await self._calls.close()
        await self._reporter.close()
        await end_traces()

    async def encode_texts(
        self, texts: Sequence[TextInput], timeout_s: float, origins: Origins | None = None
    ) -> EncodeReply:
        """One outcome per text, in order."""
        self._require()
        return await self._texts.encode(texts, timeout_s, origins)

    async def tokens(self, texts: Sequence[str], prompt: str | None, special: bool) -> list[list[Token]]:
        """What each text is made of, in order."""
        self._require()
        return await self._texts.tokens(texts, prompt, special)

    async def encode_images(
        self, crops: Sequence[bytes], timeout_s: float, origins: Origins | None = None
    ) -> EncodeReply:
        """One outcome per image, in order; each is the RGB bytes of the crop that the model reads."""
        model = self._require()
        arrived = time.monotonic()
        pixels = await asyncio.get_running_loop().run_in_executor(self._workers, _pixels, model, crops)
        return await self._images.encode(
            pixels,
            [1] * len(crops),
            arrived + timeout_s,
            tokens=[0] * len(crops),  # an image has no tokens to count
            truncated=[False] * len(crops),
            prepare_ms=(time.monotonic() - arrived) * 1e3,
            origins=origins,
        )

    async def encode_text_alone(self, text: TextInput) -> AsyncGenerator[EncodeReply | None]:
        """As `TextEncoder`'s."""
        self._require()
        async with self._suspects:
            yield None
            yield await self._texts.encode_alone(text)

    async def encode_image_alone(self, crop: bytes) -> AsyncGenerator[EncodeReply | None]:
        """As `encode_text_alone`, of an image."""
        model = self._require()
        async with self._suspects:
            yield None
            began = time.monotonic()
            [pixels] = await asyncio.get_running_loop().run_in_executor(self._workers, _pixels, model, [crop])
            prepare_ms = (time.monotonic() - began) * 1e3
            yield await self._images.encode_alone(pixels, tokens=0, truncated=False, prepare_ms=prepare_ms)

    async def check_health(self) -> None:
        """As `TextEncoder`'s."""
        if self._model is not None:
            await self._texts.probe.check()

    async def status(self) -> EncoderStatus:
        if self._model is None:
            return EncoderStatus(self._replica, None, self._reason)
        schedulers = [self._texts.engine.scheduler, self._images.scheduler]
        return EncoderStatus(
            self._replica,
            self._info,
            self._reason,
            sum(scheduler.items_run for scheduler in schedulers),
            sum(scheduler.batches_run for scheduler in schedulers),
            self._model.image.preprocessing,
        )

    def _require(self) -> ClipModel:
        if self._model is None:
            raise ModelUnavailable(f"{self._id} is unavailable: {self._reason}", "model")
        return self._model


def _pixels(model: ClipModel, crops: Sequence[bytes]) -> list[np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
    return [model.image.preprocessing.normalize(crop) for crop in crops]
