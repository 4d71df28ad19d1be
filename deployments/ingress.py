"""Ingress: one replica of the HTTP API, with its near cache, over the other deployments' handles."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ray import serve
from ray.serve.handle import DeploymentHandle

from app.api import create_app
from app.api.backend import Backend
from app.cache import LruTtlCache
from app.cache_client import CacheClient
from app.image_reader import ImageReader
from app.service import EmbeddingService, Encoder
from app.settings import AppArgs
from deployments.cache import ActorTransport
from deployments.remote import RemoteEncoder, RemoteRanker


@serve.ingress()
class Ingress:
    """Late-bound: Serve asks for the ASGI app once the replica exists, so that it may hold handles."""

    def __init__(
        self,
        args: AppArgs,
        text: dict[str, DeploymentHandle],
        images: dict[str, DeploymentHandle],
        similarity: DeploymentHandle,
    ) -> None:
        deadline_s = args.limits.deadline_s
        encoders = [RemoteEncoder(id_, ("text",), handle, deadline_s) for id_, handle in text.items()]
        encoders += [RemoteEncoder(id_, ("text", "image"), handle, deadline_s) for id_, handle in images.items()]
        near = LruTtlCache(args.cache.max_size, max(1, args.cache.near_max_bytes), args.cache.ttl_ms)
        cache = CacheClient(
            ActorTransport(args.cache),
            near,
            deadline_s=args.cache.deadline_ms / 1e3,
            lease_s=args.cache.lease_s,
        )
        by_id: dict[str, Encoder] = dict(zip([*text, *images], encoders, strict=True))
        self._backend = Backend(
            service=EmbeddingService(by_id, cache, args, _reader(args)),
            cache=cache,
            ranker=RemoteRanker(similarity, deadline_s),
            args=args,
            replica=str(serve.get_replica_context().replica_id.unique_id),
        )
        self._background: list[Any] = [cache.run, *(encoder.watch for encoder in encoders)]
        self._tasks: list[asyncio.Task[None]] = []

    def __serve_build_asgi_app__(self) -> Any:
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(run()) for run in self._background]
        return create_app(self._backend, names_answers=False)


def _reader(args: AppArgs) -> ImageReader:
    folder = Path(args.image_folder).expanduser() if args.image_folder else None
    return ImageReader(ThreadPoolExecutor(args.encoder.workers, "decode"), args.limits, folder)
