"""What an ingress replica knows beside its requests: the cache's tiers, the models' states, what waits for a call."""

from collections.abc import Iterable, Sequence

from app.cache.client import CacheClient
from app.service.encoder import Encoder
from app.telemetry.metrics import (
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
from app.telemetry.registry import Recorder

STATES = ("loading", "ready", "unavailable")


def record_ingress(recorder: Recorder, caches: Sequence[CacheClient], encoders: Iterable[Encoder]) -> None:
    """From now on in every snapshot. `caches`: one per shard."""
    known = list(encoders)

    def collect() -> None:
        _cache(recorder, caches)
        for encoder in known:
            _model(recorder, encoder)

    recorder.collectors.append(collect)


def _cache(recorder: Recorder, caches: Sequence[CacheClient]) -> None:
    near_hits = sum(cache.counts.near_hits for cache in caches)
    shared_hits = sum(cache.counts.hits for cache in caches) - near_hits
    misses = sum(cache.counts.misses for cache in caches)
    recorder.set(CACHE_LOOKUPS, near_hits, "near", "hit")
    recorder.set(CACHE_LOOKUPS, misses + shared_hits, "near", "miss")
    recorder.set(CACHE_LOOKUPS, shared_hits, "shared", "hit")
    recorder.set(CACHE_LOOKUPS, sum(cache.shared_lookups for cache in caches) - shared_hits, "shared", "miss")
    recorder.set(CACHE_FAILURES, sum(cache.shared_failures for cache in caches))
    recorder.set(CACHE_EVICTIONS, sum(cache.near.evictions for cache in caches), "near")
    recorder.set(CACHE_EXPIRATIONS, sum(cache.near.expirations for cache in caches), "near")
    recorder.set(CACHE_ENTRIES, sum(len(cache.near) for cache in caches), "near")
    recorder.set(CACHE_BYTES, sum(cache.near.bytes for cache in caches), "near")


def _model(recorder: Recorder, encoder: Encoder) -> None:
    state = encoder.state
    serving = state.info.id if state.info is not None and state.status == "ready" else None
    # A backup is ready under its own name; the model that it stands in for is not there.
    recorder.set(READY, serving == state.id, state.id)
    for name in STATES:
        recorder.set(
            STATE, name == ("unavailable" if serving not in (None, state.id) else state.status), state.id, name
        )
    if serving is not None and serving != state.id:
        recorder.set(READY, 1, serving)
    recorder.set(QUEUED, encoder.waiting, serving or state.id, "ingress")
    # By the configured name, whatever serves under it: a total must not move from one series to another.
    recorder.set(RETRIED, encoder.retried, state.id)
