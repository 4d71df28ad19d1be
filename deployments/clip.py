"""Clip: one replica of one CLIP model, whose vectors of texts and images compare."""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from app.config.args import Backup, ModelArgs, TracingArgs
from app.encoders import ImageModel, load_clip_model
from app.inference.batch_queue import BatchQueue
from app.telemetry.tracing import OFF, Origins
from app.types import Vector
from deployments.encoder_replica import EncoderReplica
from deployments.engine import Engine
from deployments.messages import EncodeReply


class Clip(EncoderReplica):
    rpc_methods = ("encode_texts", "encode_images")

    def __init__(
        self,
        args: ModelArgs,
        threads: int,
        offline: bool,
        backup: Backup | None = None,
        traces: TracingArgs = OFF,
    ) -> None:
        super().__init__(args, traces)
        model = self._load(partial(load_clip_model, threads=threads, offline=offline), backup)
        if model is None:
            return
        self._threads.exclusive.submit(model.image.warm, args.batch_size).result()
        texts = self._begin(model.text, model.info)
        self._preprocessing = model.image.preprocessing
        # An image is one item whatever its size was: all are scaled to what the model reads.
        queue = BatchQueue(args.batch_size, args.batch_size, lambda length: length)
        registry = self._reporter.registry
        self._images = Engine(
            model.info, model.image, queue, self._threads, self._replica, registry, "normalize", texts.probe.watch
        )
        self._engines.append(self._images)
        self._workers = ThreadPoolExecutor(args.workers, "normalize")
        self._normalize = partial(_normalize, model.image)

    async def encode_images(
        self, crops: Sequence[bytes], timeout_s: float, origins: Origins | None = None, *, exclusive: bool = False
    ) -> EncodeReply:
        """One outcome per image, in order; each is the RGB bytes of the crop that the model reads."""
        self._require()
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
            exclusive=exclusive,
        )

    async def encode_image_alone(self, crop: bytes) -> AsyncGenerator[EncodeReply | None]:
        """As `encode_text_alone`, of an image."""
        self._require()
        async with self._suspects:
            yield None
            yield await self.encode_images([crop], float("inf"), exclusive=True)


def _normalize(model: ImageModel, crops: Sequence[bytes]) -> list[Vector]:
    return [model.preprocessing.normalize(crop) for crop in crops]
