"""What an ingress replica knows beside its requests: the cache's tiers, the models' states, what waits for a call."""

from collections.abc import Sequence

from app.cache.client import CacheClient
from app.config.args import BYPASS_PARTS
from app.service.encoder import Encoder
from app.telemetry.metrics import BYPASS, CACHE_FAILURES, CACHE_LOOKUPS, QUEUED, READY, RETRIED, STATE
from app.telemetry.registry import Registry
from deployments.cache import record_tier
from deployments.serve_internals import probe

STATES = ("loading", "ready", "unavailable")


def record_ingress(registry: Registry, caches: Sequence[CacheClient], encoders: Sequence[Encoder]) -> None:
    """From now on in every snapshot. `caches`: one per shard."""

    def collect() -> None:
        _cache(registry, caches)
        for part in BYPASS_PARTS:
            registry.set(BYPASS, probe.in_use(part), part)
        for encoder in encoders:
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
    record_tier(registry, "near", [cache.near for cache in caches])


def _model(registry: Registry, encoder: Encoder) -> None:
    state = encoder.state
    serving = state.info.id if state.info is not None and state.status == "ready" else None
    # A backup is ready under its own name; the model that it stands in for is not there.
    registry.set(READY, serving == state.id, state.id)
    status = state.status
    if serving is not None and serving != state.id:
        registry.set(READY, 1, serving)
        status = "unavailable"
    for name in STATES:
        registry.set(STATE, name == status, state.id, name)
    registry.set(QUEUED, encoder.waiting, serving or state.id, "ingress")
    # By the configured name, whatever serves under it: a total must not move from one series to another.
    registry.set(RETRIED, encoder.retried, state.id)
