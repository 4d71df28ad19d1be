"""How much process memory 10,000 cached 384-d vectors take. Run: `python -m loadtests.cache_memory`.

Prints one JSON object. Each entry is built as the cache gets it: a fresh 16-byte key and fresh bytes of an
8-byte header and 384 float32. `churned` is after as many evictions again as there are entries, times five,
since holes in the heap are part of the price.
"""

import gc
import json
import os

import psutil

from app.cache.lru import LruTtlCache

ENTRIES = 10_000
VALUE_BYTES = 8 + 384 * 4


def _resident() -> int:
    gc.collect()
    return int(psutil.Process().memory_info().rss)


def _fill(cache: LruTtlCache, entries: int) -> None:
    for _ in range(entries):
        cache.put(os.urandom(16), os.urandom(VALUE_BYTES))


def measure(ttl_ms: int) -> dict[str, float]:
    """Growth of resident memory in MB (10**6 bytes), full and after churn, and the cache's own figure."""
    before = _resident()
    cache = LruTtlCache(max_entries=ENTRIES, max_bytes=10**9, ttl_ms=ttl_ms)
    _fill(cache, ENTRIES)
    full = _resident() - before
    _fill(cache, 5 * ENTRIES)
    churned = _resident() - before
    return {
        "entries": len(cache),
        "full_mb": round(full / 1e6, 2),
        "churned_mb": round(churned / 1e6, 2),
        "stated_mb": round(cache.bytes / 1e6, 2),
    }


if __name__ == "__main__":
    # One case per process: a second one would reuse the memory that the first gave back.
    print(json.dumps(measure(ttl_ms=3_600_000)))
