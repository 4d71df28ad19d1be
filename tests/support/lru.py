"""The order of an `LruTtlCache`, which only tests ask for."""

from app.cache.lru import LruTtlCache


def keys_of(cache: LruTtlCache) -> list[bytes]:
    """All keys, the least recently used first."""
    len(cache)  # what has expired goes
    closing = cache._recency  # noqa: SLF001 - the cache's users need no order
    keys, entry = [], closing.newer
    while entry is not closing:
        keys.append(entry.key)
        entry = entry.newer
    return keys
