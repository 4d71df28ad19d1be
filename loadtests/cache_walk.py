"""`app.cache.lru` driven at random beside a model too simple to be wrong."""

import random
from collections.abc import Iterable

from app.cache.lru import ENTRY_OVERHEAD, LruTtlCache

KEYS = [bytes([number]) * 16 for number in range(12)]
MAX_ENTRIES, MAX_BYTES, TTL_MS = 6, 5 * (16 + ENTRY_OVERHEAD + 60), 1000


def keys_of(cache: LruTtlCache) -> list[bytes]:
    """All keys, the least recently used first."""
    len(cache)  # what has expired goes
    closing = cache._recency  # noqa: SLF001 - the cache's users need no order
    keys, entry = [], closing.newer
    while entry is not closing:
        keys.append(entry.key)
        entry = entry.newer
    return keys


class Model:
    """A list, least recently used first; every question is answered by walking it."""

    def __init__(self, ttl_ms: int) -> None:
        self.life = ttl_ms / 1000 if ttl_ms else None
        self.now = 0.0
        self.entries: list[tuple[bytes, bytes, float | None]] = []
        self.evictions = self.expirations = 0

    def advance(self, seconds: float) -> None:
        self.now += seconds
        living = [entry for entry in self.entries if entry[2] is None or entry[2] > self.now]
        self.expirations += len(self.entries) - len(living)
        self.entries = living

    def get(self, key: bytes) -> tuple[bytes, float | None] | None:
        for entry in self.entries:
            if entry[0] == key:
                self.entries.remove(entry)
                self.entries.append(entry)
                return entry[1], None if entry[2] is None else entry[2] - self.now
        return None

    def put(self, key: bytes, value: bytes, ttl_s: float | None) -> None:
        self.entries = [entry for entry in self.entries if entry[0] != key]
        lives = [life for life in (self.life, ttl_s) if life is not None]
        if 16 + len(value) + ENTRY_OVERHEAD > MAX_BYTES or (lives and min(lives) <= 0):
            return
        self.entries.append((key, value, self.now + min(lives) if lives else None))
        while len(self.entries) > MAX_ENTRIES or self.bytes() > MAX_BYTES:
            self.entries.pop(0)
            self.evictions += 1

    def bytes(self) -> int:
        return sum(len(entry[0]) + len(entry[1]) + ENTRY_OVERHEAD for entry in self.entries)


class Pair:
    """Cache and model, driven alike."""

    def __init__(self, ttl_ms: int) -> None:
        self.model = Model(ttl_ms)
        self.cache = LruTtlCache(MAX_ENTRIES, MAX_BYTES, ttl_ms, lambda: self.model.now)

    def get(self, key: bytes, with_ttl: bool) -> None:
        expected = self.model.get(key)
        if with_ttl:
            assert self.cache.get_with_ttl(key) == expected
        else:
            assert self.cache.get(key) == (expected and expected[0])

    def put(self, key: bytes, value: bytes, ttl_s: float | None) -> None:
        self.model.put(key, value, ttl_s)
        self.cache.put(key, value, ttl_s)

    def touch(self, keys: Iterable[bytes]) -> None:
        for key in (keys := list(keys)):
            self.model.get(key)
        self.cache.touch(keys)

    def clear(self) -> None:
        assert self.cache.clear() == len(self.model.entries)
        self.model.entries = []

    def check(self) -> None:
        cache, model = self.cache, self.model
        # The counter first, so that no other question sweeps for it.
        assert cache.expirations == model.expirations
        assert cache.evictions == model.evictions
        assert keys_of(cache) == [entry[0] for entry in model.entries]
        assert len(cache) == len(model.entries) <= MAX_ENTRIES
        assert cache.bytes == model.bytes() <= MAX_BYTES


def walk(seed: int, steps: int, ttl_ms: int) -> Pair:
    pick = random.Random(seed)
    pair = Pair(ttl_ms)
    for _ in range(steps):
        action = pick.random()
        key = pick.choice(KEYS)
        if action < 0.4:
            life = pick.choice([None, None, 0.0, 0.125, 0.5, 0.875, 2.0])
            pair.put(key, bytes(pick.choice([0, 10, 60, 60, 60, 200, 10_000])), life)
        elif action < 0.7:
            pair.get(key, with_ttl=action < 0.55)
        elif action < 0.8:
            pair.touch(pick.choices(KEYS, k=3))
        elif action < 0.998:
            # Eighths of a second are exact in binary: moments meet exactly, as they must for "on the dot".
            pair.model.advance(pick.choice([0, 0.125, 0.125, 0.25, 0.5]))
        else:
            pair.clear()
        pair.check()
    return pair
