"""LRU cache of bytes with a time to live, bounded by entries and by bytes.

Pure: no Ray, no threads, no epochs or leases (`deployments.cache` and the near cache own those), and no hit
or miss counters: only the caller knows what one look-up of its own is.
"""

import math
import time
from collections.abc import Callable, Iterable

from app.cache.expiry import ExpiryQueue, Mortal

# What CPython adds to the payload of one entry: headers and rounding of two bytes objects (about 100), the
# entry with its links (100), its moment (30), its slot in a dict that churn has grown (up to 110) and what
# the allocator can't reuse. Chosen from resident memory measured by `loadtests/cache_memory.py`.
ENTRY_OVERHEAD = 370


class _Entry(Mortal):
    # Links instead of two OrderedDicts: a look-up takes 0.2 µs longer, and an entry 10 % less memory.
    __slots__ = ("newer", "older", "value")
    newer: "_Entry"
    older: "_Entry"

    def __init__(self, key: bytes, value: bytes, ends_at: float) -> None:
        super().__init__(key, ends_at)
        self.value = value


class LruTtlCache:
    """Least recently used out first; nothing outlives its time to live.

    Not thread-safe: one thread (or one event loop) owns it. A value may be found until its life has passed in
    full: an entry written at second 0 with a life of 1 s is there at 0.999 and gone at 1. Every call removes
    all entries that have ended, asked for or not, at O(1) amortised per entry (O(log n) for one whose life
    was shortened), so size, bytes and counters never include the dead.

    Args:
        max_entries: Entries kept at most; 0 keeps nothing.
        max_bytes: Upper bound of `bytes`, ENTRY_OVERHEAD per entry included; 0 keeps nothing. `squeezed_out` counts
            the entries that it has pushed out or refused.
        ttl_ms: Life of an entry in milliseconds; 0 means it never ends.
    """

    def __init__(
        self, max_entries: int, max_bytes: int, ttl_ms: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.max_entries = max_entries
        self.max_bytes = max_bytes
        self._ttl_s = ttl_ms / 1000 if ttl_ms else math.inf
        self._clock = clock
        self._entries: dict[bytes, _Entry] = {}
        self._recency = _Entry(b"", b"", math.inf)  # closes the ring: newer is the oldest, older the newest
        self._recency.newer = self._recency.older = self._recency
        self._expiry = ExpiryQueue()
        self._bytes = 0
        self.squeezed_out = 0
        self.evictions = 0  # entries pushed out by a bound, since the start
        self._expirations = 0

    def get(self, key: bytes) -> bytes | None:
        """The value, which becomes the most recently used; None when unknown or expired."""
        found = self.get_with_ttl(key)
        return None if found is None else found[0]

    def get_with_ttl(self, key: bytes) -> tuple[bytes, float | None] | None:
        """As `get`, with the seconds of life left (always > 0; None: never ends), for a copy elsewhere."""
        now = self._sweep()
        entry = self._entries.get(key)
        if entry is None:
            return None
        self._renew(entry)
        return entry.value, None if entry.ends_at == math.inf else entry.ends_at - now

    def put(self, key: bytes, value: bytes, ttl_s: float | None = None) -> None:
        """Store or replace, as the most recently used, with a new life; evict the least recent until it fits.

        A value that can't fit even alone is not stored, and neither is one without life; what the key had
        goes all the same, since it has been replaced.

        Args:
            ttl_s: Seconds of life when shorter than the cache's own; a longer one is cut to that.
        """
        now = self._sweep()
        if key in self._entries:
            self._remove(key)
        life = self._ttl_s if ttl_s is None else min(self._ttl_s, ttl_s)
        size = _size(key, value)
        if size > self.max_bytes:
            self.squeezed_out += 1
            return
        if self.max_entries == 0 or life <= 0:
            return
        while len(self._entries) >= self.max_entries or self._bytes + size > self.max_bytes:
            self.squeezed_out += len(self._entries) < self.max_entries
            self._remove(self._recency.newer.key)
            self.evictions += 1
        entry = _Entry(key, value, now + life)
        self._entries[key] = entry
        self._bytes += size
        self._append(entry)
        self._expiry.add(entry)

    def touch(self, keys: Iterable[bytes]) -> None:
        """Make known keys the most recently used, in the order given. Their life is not extended."""
        self._sweep()
        for key in keys:
            entry = self._entries.get(key)
            if entry is not None:
                self._renew(entry)

    def clear(self) -> int:
        """Drop everything; how many entries that were. They count neither as evicted nor as expired."""
        self._sweep()
        cleared = list(self._entries)
        for key in cleared:  # one by one: neighbours hold each other, and memory must not wait for the gc
            self._remove(key)
        return len(cleared)

    def __len__(self) -> int:
        self._sweep()
        return len(self._entries)

    @property
    def expirations(self) -> int:
        """Entries removed because their life had ended, since the start."""
        self._sweep()
        return self._expirations

    def _sweep(self) -> float:
        now = self._clock()
        while (key := self._expiry.pop_due(now)) is not None:
            self._remove(key)
            self._expirations += 1
        return now

    def _remove(self, key: bytes) -> None:
        entry = self._entries.pop(key)
        entry.older.newer = entry.newer
        entry.newer.older = entry.older
        self._expiry.drop(entry)
        self._bytes -= _size(key, entry.value)
        # The queue may hold on to the entry for a while: it must not keep its value or its neighbours alive.
        entry.value = b""
        entry.older = entry.newer = self._recency

    def _append(self, entry: _Entry) -> None:
        newest = self._recency.older
        entry.older, entry.newer = newest, self._recency
        newest.newer = self._recency.older = entry

    def _renew(self, entry: _Entry) -> None:
        entry.older.newer = entry.newer
        entry.newer.older = entry.older
        self._append(entry)

    @property
    def bytes(self) -> int:  # last, since from here on the name hides the type
        """Memory of all entries: keys, values and ENTRY_OVERHEAD each."""
        self._sweep()
        return self._bytes


def _size(key: bytes, value: bytes) -> int:
    return len(key) + len(value) + ENTRY_OVERHEAD
