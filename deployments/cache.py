"""CacheActor, an application's shared cache (or one shard of it) as a named Ray actor, and the ingress's way to it."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import ray
from ray.actor import exit_actor
from ray.exceptions import RayActorError

from app.cache.lru import LruTtlCache
from app.cache.shared import CacheStats, PollRequest, PollResponse, SharedCache
from app.config.args import CacheArgs
from app.telemetry.metrics import CACHE_BYTES, CACHE_ENTRIES, CACHE_EVICTIONS, CACHE_EXPIRATIONS
from app.telemetry.registry import Registry
from deployments.metrics import Reporter
from deployments.named_actor import NAMESPACE, NamedActor, actor_name, ask_gcs, other_settings

# A detached actor outlives redeploys with the code that it began with: a new protocol needs a new kind.
KIND = "cache-v4"
OTHERS_S = 2.0  # less than a caller waits for `clear`: Ray's control store may be away
LOOK_S = 5.0  # between two looks at whether it has been replaced
ABANDONED_S = 3600.0  # a cache that nobody has polled for so long belongs to an application that is gone


class CacheActor(SharedCache):
    """Ray calls all methods on one event loop, since some are async. `bounds`: of the store."""

    def __init__(self, name: str, bounds: tuple[int, int, int], lease_s: float) -> None:
        super().__init__(LruTtlCache(*bounds), lease_s)
        self._name = name
        # The constructor has no event loop.
        ray.get_runtime_context().current_actor.watch.remote()

    async def watch(self) -> None:
        """Report the metrics, and exit once this actor has been replaced or abandoned."""
        application = self._name.rsplit(":", 3)[0]
        reporter = Reporter(application, "CacheActor", ray.get_runtime_context().get_actor_id() or "")
        reporter.registry.collectors.append(lambda: record_tier(reporter.registry, "shared", [self.store]))
        while True:
            await asyncio.sleep(max(self.lease_s / 2, LOOK_S))
            if await self._is_retired():
                await reporter.close()
                exit_actor()

    async def _is_retired(self) -> bool:
        """Whether nobody polls, and others are polled instead; one that waits for the next replica stays warm."""
        idle_s = self.idle_s
        if idle_s <= 2 * self.lease_s:
            return False
        try:
            return idle_s > ABANDONED_S or bool(await ask_gcs(lambda: other_settings(self._name)))
        except Exception:  # noqa: BLE001 - Ray can't be asked now; it will be again
            return False


def record_tier(registry: Registry, tier: str, stores: Sequence[LruTtlCache]) -> None:
    registry.set(CACHE_EVICTIONS, sum(store.evictions for store in stores), tier)
    registry.set(CACHE_EXPIRATIONS, sum(store.expirations for store in stores), tier)
    registry.set(CACHE_ENTRIES, sum(map(len, stores)), tier)
    registry.set(CACHE_BYTES, sum(store.bytes for store in stores), tier)


class CacheTransport:
    """Calls on the actor of one shard of the application's cache. Its name has a hash of what it was started with."""

    def __init__(self, application: str, args: CacheArgs, shard: int = 0) -> None:
        bounds = (-(-args.max_size // args.shards), -(-args.max_bytes // args.shards), args.ttl_ms)
        name = actor_name(application, KIND, (bounds, args.lease_s), shard)
        self.actor = NamedActor(CacheActor, name, name, bounds, args.lease_s, place=shard)
        self._shard = shard

    async def lookup(self, keys: Sequence[bytes]) -> tuple[str, list[tuple[bytes, float | None] | None]]:
        return await self.actor.call("lookup", keys)  # type: ignore[no-any-return]

    async def put(self, client: str, epoch: str, entries: Sequence[tuple[bytes, bytes]]) -> bool:
        return await self.actor.call("put", client, epoch, entries)  # type: ignore[no-any-return]

    async def poll(self, request: PollRequest) -> PollResponse:
        return await self.actor.call("poll", request)  # type: ignore[no-any-return]

    async def clear(self) -> int:
        """The first shard clears the application's actors of other settings too: old replicas may use them still."""
        if self._shard > 0:
            return await self.actor.call("clear")  # type: ignore[no-any-return]
        # Its own actor is cleared whether or not the others can be found.
        outcomes: Sequence[Any] = await asyncio.gather(
            self.actor.call("clear"), self._clear_others(), return_exceptions=True
        )
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
        return sum(outcomes)

    async def _clear_others(self) -> int:
        others = await ask_gcs(self._others, OTHERS_S)
        return sum(await asyncio.gather(*map(_clear, others)))

    async def stats(self) -> CacheStats:
        return await self.actor.call("stats")  # type: ignore[no-any-return]

    def _others(self) -> list[Any]:
        found = []
        for name in other_settings(self.actor.name):
            with suppress(ValueError):  # it has just exited
                found.append(ray.get_actor(name, NAMESPACE))
        return found


async def _clear(actor: Any) -> int:
    try:
        return await actor.clear.remote()  # type: ignore[no-any-return]
    except RayActorError:  # it has just exited, and its entries with it
        return 0
