"""CacheActor, the cluster-wide cache (or one shard of it) as a named Ray actor, and the ingress's way to it."""

from collections.abc import Sequence
from typing import Any

import ray
from ray.exceptions import RayActorError

from app.cache.lru import LruTtlCache
from app.cache.shared import CacheStats, PollRequest, PollResponse, SharedCache
from app.config.args import CacheArgs
from app.telemetry.metrics import CACHE_BYTES, CACHE_ENTRIES, CACHE_EVICTIONS, CACHE_EXPIRATIONS
from deployments.metrics import Reporter
from deployments.named_actor import shared_actor

# A detached actor outlives redeploys with the code that it began with: a new protocol needs a new name.
ACTOR_NAME = "embedding-cache-v2"
NAMESPACE = "embedding-service"
MAX_PARKED = 1000


class CacheActor:
    """All logic is `SharedCache`'s; async methods put it on one event loop."""

    def __init__(self, args: CacheArgs) -> None:
        entries, size = -(-args.max_size // args.shards), -(-args.max_bytes // args.shards)
        self._cache = SharedCache(LruTtlCache(entries, size, args.ttl_ms), args.lease_s)
        self._reporter: Reporter | None = None

    async def lookup(self, keys: Sequence[bytes]) -> tuple[str, list[tuple[bytes, float | None] | None]]:
        return self._cache.lookup(keys)

    async def put(self, client: str, epoch: str, entries: Sequence[tuple[bytes, bytes]]) -> bool:
        return self._cache.put(client, epoch, entries)

    async def poll(self, report: PollRequest) -> PollResponse:
        if self._reporter is None:  # the constructor has no event loop
            self._reporter = Reporter("CacheActor", ray.get_runtime_context().get_actor_id() or "")
            self._reporter.registry.collectors.append(self._collect)
        return await self._cache.poll(report)

    async def clear(self) -> int:
        return await self._cache.clear()

    async def stats(self) -> CacheStats:
        return await self._cache.stats()

    def _collect(self) -> None:
        assert self._reporter is not None  # noqa: S101 - it is the reporter's own collector
        registry, store = self._reporter.registry, self._cache.store
        registry.set(CACHE_EVICTIONS, store.evictions, "shared")
        registry.set(CACHE_EXPIRATIONS, store.expirations, "shared")
        registry.set(CACHE_ENTRIES, len(store), "shared")
        registry.set(CACHE_BYTES, store.bytes, "shared")


class ActorTransport:
    """Calls on the actor, whichever process it lives in now.

    A handle survives a restart of the actor but not its re-creation, so it is looked up again after a failure.
    """

    def __init__(self, args: CacheArgs, shard: int = 0) -> None:
        self._args = args
        self._shard = shard
        self._handle: Any = None

    async def lookup(self, keys: Sequence[bytes]) -> tuple[str, list[tuple[bytes, float | None] | None]]:
        return await self._call("lookup", keys)  # type: ignore[no-any-return]

    async def put(self, client: str, epoch: str, entries: Sequence[tuple[bytes, bytes]]) -> bool:
        return await self._call("put", client, epoch, entries)  # type: ignore[no-any-return]

    async def poll(self, report: PollRequest) -> PollResponse:
        return await self._call("poll", report)  # type: ignore[no-any-return]

    async def clear(self) -> int:
        return await self._call("clear")  # type: ignore[no-any-return]

    async def stats(self) -> CacheStats:
        return await self._call("stats")  # type: ignore[no-any-return]

    async def _call(self, method: str, *args: Any) -> Any:
        if self._handle is None:
            self._handle = _actor(self._args, self._shard)
        try:
            return await getattr(self._handle, method).remote(*args)
        except RayActorError:
            self._handle = None
            raise


def actor_name(shard: int) -> str:
    """Without the number of shards: when there is one more, the others keep their names and their entries."""
    return f"{ACTOR_NAME}-{shard}" if shard else ACTOR_NAME


def _actor(args: CacheArgs, shard: int) -> Any:
    """The cluster's cache actor of this shard; the first to ask creates it."""
    return shared_actor(CacheActor, actor_name(shard), NAMESPACE, MAX_PARKED, args, place=shard)
