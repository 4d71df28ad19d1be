"""What an ingress replica knows beside its requests: the cache's tiers, the models' states, what waits for a call."""

from collections.abc import Iterable, Sequence

from app.cache.client import CacheClient
from app.config.args import BYPASS_PARTS
from app.service.encoder import Encoder
from app.telemetry.metrics import (
    BYPASS,
    CACHE_BYTES,
    CACHE_ENTRIES,
    CACHE_EVICTIONS,
    CACHE_EXPIRATIONS,
    CACHE_FAILURES,
    CACHE_LOOKUPS,
    QUEUED,
    READY,
    RETRIED,
    STATE,
)
from app.telemetry.registry import Registry
from deployments.serve_internals import probe

STATES = ("loading", "ready", "unavailable")


def record_ingress(registry: Registry, caches: Sequence[CacheClient], encoders: Iterable[Encoder]) -> None:
    """From now on in every snapshot. `caches`: one per shard."""
    known = list(encoders)

    def collect() -> None:
        _cache(registry, caches)
        for part in BYPASS_PARTS:
            registry.set(BYPASS, probe.in_use(part), part)
        for encoder in known:
            _model(registry, encoder)

    registry.collectors.append(collect)


def _cache(registry: Registry, caches: Sequence[CacheClient]) -> None:
    near_hits = sum(cache.counts.near_hits for cache in caches)
    shared_hits = sum(cache.counts.hits for cache in caches) - near_hits
    misses = sum(cache.counts.misses for cache in caches)
    registry.set(CACHE_LOOKUPS, near_hits, "near", "hit")
    registry.set(CACHE_LOOKUPS, misses + shared_hits, "near", "miss")
    registry.set(CACHE_LOOKUPS, shared_hits, "shared", "hit")
    registry.set(CACHE_LOOKUPS, sum(cache.shared_lookups for cache in caches) - shared_hits, "shared", "miss")
    registry.set(CACHE_FAILURES, sum(cache.shared_failures for cache in caches))
    registry.set(CACHE_EVICTIONS, sum(cache.near.evictions for cache in caches), "near")
    registry.set(CACHE_EXPIRATIONS, sum(cache.near.expirations for cache in caches), "near")
    registry.set(CACHE_ENTRIES, sum(len(cache.near) for cache in caches), "near")
    registry.set(CACHE_BYTES, sum(cache.near.bytes for cache in caches), "near")


def _model(registry: Registry, encoder: Encoder) -> None:
    state = encoder.state
    serving = state.info.id if state.info is not None and state.status == "ready" else None
    # A backup is ready under its own name; the model that it stands in for is not there.
    registry.set(READY, serving == state.id, state.id)
    for name in STATES:
        registry.set(
            STATE, name == ("unavailable" if serving not in (None, state.id) else state.status), state.id, name
        )
    if serving is not None and serving != state.id:
        registry.set(READY, 1, serving)
    registry.set(QUEUED, encoder.waiting, serving or state.id, "ingress")
    # By the configured name, whatever serves under it: a total must not move from one series to another.
    registry.set(RETRIED, encoder.retried, state.id)
