"""LRU cache of bytes with a time to live, bounded by entries and by bytes. No Ray, no threads, no epochs or leases.

It counts no hits and misses: only the caller knows what one look-up of its own is.
"""

import heapq
import math
import time
from collections.abc import Callable, Iterable
from enum import Enum

# What CPython adds to the payload of one entry: headers and rounding of two bytes objects (about 100), the
# entry with its links (100), its moment (30), its slot in a dict that churn has grown (up to 110) and what
# the allocator can't reuse. Chosen from resident memory measured by `loadtests/cache_memory.py`.
ENTRY_OVERHEAD = 370


class _Place(Enum):
    RUN = 1
    HEAP = 2
    NOWHERE = 3


class Entry:
    """Its links are two rings', recency's and expiry's. `ends_at`: on the cache's clock; infinity for never."""

    # Links instead of two OrderedDicts: a look-up takes 0.2 µs longer, and an entry 10 % less memory.
    __slots__ = ("ends_at", "key", "later", "newer", "older", "place", "sooner", "value")
    newer: "Entry"
    older: "Entry"
    later: "Entry"
    sooner: "Entry"

    def __init__(self, key: bytes, value: bytes, ends_at: float) -> None:
        self.key = key
        self.value = value
        self.ends_at = ends_at
        self.place = _Place.NOWHERE

    @property
    def size(self) -> int:
        return len(self.key) + len(self.value) + ENTRY_OVERHEAD

    def __lt__(self, other: "Entry") -> bool:
        return self.ends_at < other.ends_at


class _ExpiryQueue:
    """Entries, the soonest to end first.

    Those of one common life end in the order they come, so they only ever join the tail of a linked run:
    O(1) to add, drop and take. One that ends before the tail (a near copy with what is left of its life)
    waits in a heap beside the run: O(log n). What is dropped stays in the heap until it surfaces or until a
    fifth of the heap is such, so memory stays within a constant factor of what lives.
    """

    def __init__(self) -> None:
        self._run = Entry(b"", b"", math.inf)  # closes the ring: later is the head, sooner the tail
        self._run.later = self._run.sooner = self._run
        self._heap: list[Entry] = []
        self._dropped = 0  # of those in the heap

    def add(self, entry: Entry) -> None:
        tail = self._run.sooner
        if tail is self._run or entry.ends_at >= tail.ends_at:
            entry.place = _Place.RUN
            entry.sooner, entry.later = tail, self._run
            tail.later = self._run.sooner = entry
        else:
            entry.place = _Place.HEAP
            heapq.heappush(self._heap, entry)

    def drop(self, entry: Entry) -> None:
        place, entry.place = entry.place, _Place.NOWHERE
        if place is _Place.RUN:
            entry.sooner.later = entry.later
            entry.later.sooner = entry.sooner
        elif place is _Place.HEAP:
            self._dropped += 1
            # Rebuilding costs O(heap) and happens only after a fifth as many drops: O(1) for each.
            if 5 * self._dropped > len(self._heap) + 64:
                self._heap = [other for other in self._heap if other.place is _Place.HEAP]
                heapq.heapify(self._heap)
                self._dropped = 0

    def due(self, now: float) -> Entry | None:
        """The soonest, if its moment is `now` or earlier."""
        while self._heap and self._heap[0].place is _Place.NOWHERE:
            heapq.heappop(self._heap)
            self._dropped -= 1
        soonest = self._run.later  # the ring's own node, which never ends, when the run is empty
        if self._heap and self._heap[0].ends_at < soonest.ends_at:
            soonest = self._heap[0]
        return None if soonest.ends_at > now or soonest is self._run else soonest


class LruTtlCache:
    """Least recently used out first; nothing outlives its time to live.

    Not thread-safe. A value may be found until its life has passed in full: an entry written at second 0 with a life
    of 1 s is there at 0.999 and gone at 1. Every call removes all entries that have ended, asked for or not, at O(1)
    amortised per entry (O(log n) for one whose life was shortened), so size, bytes and counters never include the dead.

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
        self._entries: dict[bytes, Entry] = {}
        self._recency = Entry(b"", b"", math.inf)  # closes the ring: newer is the oldest, older the newest
        self._recency.newer = self._recency.older = self._recency
        self._expiry = _ExpiryQueue()
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
            self._remove(self._entries[key])
        life = self._ttl_s if ttl_s is None else min(self._ttl_s, ttl_s)
        entry = Entry(key, value, now + life)
        size = entry.size
        if size > self.max_bytes:
            self.squeezed_out += 1
            return
        if self.max_entries == 0 or life <= 0:
            return
        while len(self._entries) >= self.max_entries or self._bytes + size > self.max_bytes:
            self.squeezed_out += len(self._entries) < self.max_entries
            self._remove(self._recency.newer)
            self.evictions += 1
        self._entries[key] = entry
        self._bytes += size
        self._append(entry)
        self._expiry.add(entry)

    def touch(self, keys: Iterable[bytes]) -> None:
        """Make known keys the most recently used, in the order given. Their life is not extended."""
        self._sweep()
        for key in keys:
            if (entry := self._entries.get(key)) is not None:
                self._renew(entry)

    def clear(self) -> int:
        """Drop everything; how many entries that were. They count neither as evicted nor as expired."""
        self._sweep()
        cleared = list(self._entries.values())
        for entry in cleared:  # one by one: neighbours hold each other, and memory must not wait for the gc
            self._remove(entry)
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
        while (entry := self._expiry.due(now)) is not None:
            self._remove(entry)
            self._expirations += 1
        return now

    def _remove(self, entry: Entry) -> None:
        del self._entries[entry.key]
        self._bytes -= entry.size
        entry.older.newer = entry.newer
        entry.newer.older = entry.older
        self._expiry.drop(entry)
        # The queue may hold on to the entry for a while: it must not keep its value or its neighbours alive.
        entry.value = b""
        entry.older = entry.newer = self._recency

    def _append(self, entry: Entry) -> None:
        newest = self._recency.older
        entry.older, entry.newer = newest, self._recency
        newest.newer = self._recency.older = entry

    def _renew(self, entry: Entry) -> None:
        entry.older.newer = entry.newer
        entry.newer.older = entry.older
        self._append(entry)

    @property
    def bytes(self) -> int:  # last, since from here on the name hides the type
        """Memory of all entries: keys, values and ENTRY_OVERHEAD each."""
        self._sweep()
        return self._bytes
