"""CacheActor, the cluster-wide cache as a named Ray actor, and the ingress's way to it."""

from collections.abc import Sequence
from typing import Any

import ray
from ray.exceptions import RayActorError

from app.cache import LruTtlCache
from app.settings import CacheArgs
from app.shared_cache import CacheStats, Report, SharedCache, Word

# A detached actor outlives redeploys with the code that it began with: a new protocol needs a new name.
ACTOR_NAME = "embedding-cache-v1"
NAMESPACE = "embedding-service"
MAX_PARKED = 1000


class CacheActor:
    """All logic is `SharedCache`'s; async methods put it on one event loop."""

    def __init__(self, args: CacheArgs) -> None:
        self._cache = SharedCache(LruTtlCache(args.max_size, args.max_bytes, args.ttl_ms), args.lease_s)

    async def lookup(self, keys: Sequence[bytes]) -> tuple[str, list[tuple[bytes, float | None] | None]]:
        return self._cache.lookup(keys)

    async def put(self, client: str, epoch: str, entries: Sequence[tuple[bytes, bytes]]) -> bool:
        return self._cache.put(client, epoch, entries)

    async def poll(self, report: Report) -> Word:
        return await self._cache.poll(report)

    async def clear(self) -> int:
        return await self._cache.clear()

    async def stats(self) -> CacheStats:
        return await self._cache.stats()


class ActorTransport:
    """Calls on the actor, whichever process it lives in now.

    A handle survives a restart of the actor but not its re-creation, so it is looked up again after a failure.
    """

    def __init__(self, args: CacheArgs) -> None:
        self._args = args
        self._handle: Any = None

    async def lookup(self, keys: Sequence[bytes]) -> tuple[str, list[tuple[bytes, float | None] | None]]:
        return await self._call("lookup", keys)  # type: ignore[no-any-return]

    async def put(self, client: str, epoch: str, entries: Sequence[tuple[bytes, bytes]]) -> bool:
        return await self._call("put", client, epoch, entries)  # type: ignore[no-any-return]

    async def poll(self, report: Report) -> Word:
        return await self._call("poll", report)  # type: ignore[no-any-return]

    async def clear(self) -> int:
        return await self._call("clear")  # type: ignore[no-any-return]

    async def stats(self) -> CacheStats:
        return await self._call("stats")  # type: ignore[no-any-return]

    async def _call(self, method: str, *args: Any) -> Any:
        if self._handle is None:
            self._handle = _actor(self._args)
        try:
            return await getattr(self._handle, method).remote(*args)
        except RayActorError:
            self._handle = None
            raise


def _actor(args: CacheArgs) -> Any:
    """The cluster's cache actor; the first to ask creates it."""
    return (
        ray.remote(CacheActor)
        .options(
            name=ACTOR_NAME,
            namespace=NAMESPACE,
            get_if_exists=True,
            lifetime="detached",
            max_restarts=-1,
            max_task_retries=0,
            num_cpus=0,
            max_concurrency=MAX_PARKED,
        )
        .remote(args)
    )
