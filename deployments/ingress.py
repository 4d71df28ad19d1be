"""Ingress: one replica of the HTTP API, with its near cache, over the other deployments' handles."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from ray import serve
from ray.serve.handle import DeploymentHandle

from app.api.application import create_app
from app.api.backend import Backend
from app.api.middleware.auth import Authenticator
from app.api.routes import NEEDS
from app.auth.key_file import open_key_file
from app.cache.client import CacheClient
from app.cache.lru import LruTtlCache
from app.cache.sharded import CacheShards
from app.config.args import CacheArgs
from app.config.settings import AppArgs
from app.dispatch.load_shedding import LoadShedder
from app.dispatch.retry import RetryBudget
from app.images.decode_pool import DecodePool
from app.images.fetcher import Fetcher
from app.images.reader import ImageReader
from app.local.resources import reserves
from app.service.embedding_service import EmbeddingService
from app.service.encoder import Encoder
from app.words import Kind
from deployments.cache import CacheTransport
from deployments.ingress_metrics import record_ingress
from deployments.remote_encoder import RemoteEncoder
from deployments.remote_ranker import RemoteRanker
from deployments.serve_internals import probe
from deployments.serve_internals.accounting import own_accounting
from deployments.serve_internals.bypass_middleware import BypassMiddleware
from deployments.telemetry import ClusterMetrics, replica_name, reporter


@serve.ingress()
class Ingress:
    """Late-bound: Serve asks for the ASGI app once the replica exists, so that it may hold handles."""

    def __init__(
        self,
        args: AppArgs,
        handles: dict[Kind, dict[str, DeploymentHandle]],
        similarity: DeploymentHandle,
    ) -> None:
        budget = RetryBudget(args.retries)
        reserved = {"Similarity": reserves(args.similarity)}
        by_id: dict[str, Encoder] = {}
        encoders: list[RemoteEncoder] = []
        for kind, by_name in handles.items():
            for model in args.models(kind):
                handle = by_name[model.name]
                reserved[handle.deployment_name] = reserves(model)
                kinds: tuple[Kind, ...] = ("text", "image") if kind == "image" else (kind,)
                encoders.append(RemoteEncoder(model, kinds, handle, args.limits, budget))
                by_id[model.name] = encoders[-1]
        caches = _caches(serve.get_replica_context().app_name, args.cache)
        # With one shard nothing stands before its client.
        cache = caches[0] if len(caches) == 1 else CacheShards(caches)
        self._reporter = reporter(args.tracing)
        self._bypass = probe.decide(args.serve_bypass)
        record_ingress(self._reporter.registry, caches, encoders)
        self._backend = Backend(
            service=EmbeddingService(by_id, cache, args, _reader(args), registry=self._reporter.registry),
            cache=cache,
            ranker=RemoteRanker(similarity, args.limits, budget),
            args=args,
            replica=replica_name(),
            authenticator=_authenticator(args),
            metrics=ClusterMetrics(self._reporter.client, reserved),
        )
        self._background: list[Any] = [cache.run, self._backend.log.run, *(encoder.watch for encoder in encoders)]
        if authenticator := self._backend.authenticator:
            self._background.append(partial(authenticator.keys.watch, args.access.reload_s))
            self._background.append(partial(authenticator.count_replicas, cache.stats))
        self._tasks: list[asyncio.Task[None]] = []

    def __serve_build_asgi_app__(self) -> Any:
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(run()) for run in self._background]
        app = create_app(self._backend, names_answers=False)
        if "middleware" in self._bypass:
            BypassMiddleware.register(app, own_accounting(), LoadShedder(self._backend.service.refusal, NEEDS))
        return app

    async def __del__(self) -> None:
        """Serve's word that the replica ends, once it has drained."""
        self._backend.log.close()
        await self._reporter.close()


def _caches(application: str, args: CacheArgs) -> list[CacheClient]:
    """One client for each shard, with its part of the near cache."""
    entries, size = -(-args.max_size // args.shards), max(1, args.near_max_bytes // args.shards)
    return [
        CacheClient(
            CacheTransport(application, args, shard),
            LruTtlCache(entries, size, args.ttl_ms),
            deadline_s=args.deadline_ms / 1e3,
            lease_s=args.lease_s,
        )
        for shard in range(args.shards)
    ]


def _authenticator(args: AppArgs) -> Authenticator | None:
    return Authenticator(open_key_file(args.access), args.access) if args.asks_for_keys else None


def _reader(args: AppArgs) -> ImageReader:
    folder = Path(args.image_folder).expanduser() if args.image_folder else None
    fetcher = Fetcher(args.image_urls, args.limits) if args.image_urls.hosts else None
    threads = ThreadPoolExecutor(args.encoder.workers, "decode")
    return ImageReader(threads, args.limits, folder, fetcher, DecodePool(args.encoder.workers, args.limits))
