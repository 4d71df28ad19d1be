"""Clip: one replica of one CLIP model, whose vectors of texts and images compare."""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from concurrent.futures import ThreadPoolExecutor

from app.config.args import ModelArgs
from app.encoders.clip import ClipModel, load_clip_model
from app.inference.batch_queue import BatchQueue
from app.telemetry.tracing import Origins
from app.types import ModelInfo, Vector
from deployments.engine import Engine
from deployments.messages import EncodeReply
from deployments.text_encoder import TextEncoder


class Clip(TextEncoder):
    rpc_methods = (*TextEncoder.rpc_methods, "encode_images")

    def _load(self, args: ModelArgs, threads: int, offline: bool) -> ClipModel:
        return load_clip_model(args, threads=threads, offline=offline)

    def _begin(self, model: ClipModel, info: ModelInfo) -> None:
        images, args = model.image, self._args
        self._threads.exclusive.submit(images.warm, args.batch_size).result()
        watch = self._begin_texts(model.text, info).probe.watch
        self._preprocessing = images.preprocessing
        # An image is one item whatever its size was: all are scaled to what the model reads.
        queue = BatchQueue(args.batch_size, args.batch_size, lambda length: length)
        registry = self._reporter.registry
        self._images = Engine(info, images, queue, self._threads, self._replica, registry, "normalize", watch)
        self._engines.append(self._images)
        self._workers = ThreadPoolExecutor(args.workers, "normalize")

    async def encode_images(
        self, crops: Sequence[bytes], timeout_s: float, origins: Origins | None = None, large: bool = False
    ) -> EncodeReply:
        """One outcome per image, in order; each is the RGB bytes of the crop that the model reads."""
        self._require()
        return await self._encode(crops, timeout_s, origins, large=large)

    async def encode_image_alone(self, crop: bytes) -> AsyncGenerator[EncodeReply | None]:
        """As `encode_text_alone`, of an image."""
        self._require()
        async with self._suspects:
            yield None
            yield await self._encode([crop], float("inf"), exclusive=True)

    async def _encode(
        self, crops: Sequence[bytes], timeout_s: float, origins: Origins | None = None, **kind: bool
    ) -> EncodeReply:
        arrived = time.monotonic()
        pixels = await asyncio.get_running_loop().run_in_executor(self._workers, self._normalize, crops)
        return await self._images.encode(
            pixels,
            [1] * len(crops),
            arrived + timeout_s,
            tokens=[0] * len(crops),  # an image has no tokens to count
            truncated=[False] * len(crops),
            prepare_ms=(time.monotonic() - arrived) * 1e3,
            origins=origins,
            **kind,
        )

    def _normalize(self, crops: Sequence[bytes]) -> list[Vector]:
        assert self._preprocessing is not None  # noqa: S101 - there is a model
        return [self._preprocessing.normalize(crop) for crop in crops]
