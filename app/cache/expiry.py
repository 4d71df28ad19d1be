"""Which entry's life ends next: an order of entries by that moment.

Knows no values, no clock and no bounds; `app.cache.lru` does. Not thread-safe.
"""

import heapq
from enum import Enum


class _Place(Enum):
    RUN = 1
    HEAP = 2
    NOWHERE = 3


class Mortal:
    """Base of the cache's entries, so that order costs them two references and no table. `ends_at`: on the owner's
    clock; infinity for never."""

    __slots__ = ("ends_at", "key", "later", "place", "sooner")  # the last three belong to the queue
    later: "Mortal"
    sooner: "Mortal"

    def __init__(self, key: bytes, ends_at: float) -> None:
        self.key = key
        self.ends_at = ends_at
        self.place = _Place.NOWHERE

    def __lt__(self, other: "Mortal") -> bool:
        return self.ends_at < other.ends_at


class ExpiryQueue:
    """Mortals, the soonest to end first.

    Those of one common life end in the order they come, so they only ever join the tail of a linked run:
    O(1) to add, drop and take. One that ends before the tail (a near copy with what is left of its life)
    waits in a heap beside the run: O(log n). What is dropped stays in the heap until it surfaces or until a
    fifth of the heap is such, so memory stays within a constant factor of what lives.
    """

    def __init__(self) -> None:
        self._run = Mortal(b"", float("inf"))  # closes the ring: later is the head, sooner the tail
        self._run.later = self._run.sooner = self._run
        self._heap: list[Mortal] = []
        self._dropped = 0  # of those in the heap

    def add(self, mortal: Mortal) -> None:
        """Take in one that is in no queue."""
        tail = self._run.sooner
        if tail is self._run or mortal.ends_at >= tail.ends_at:
            mortal.place = _Place.RUN
            mortal.sooner, mortal.later = tail, self._run
            tail.later = self._run.sooner = mortal
        else:
            mortal.place = _Place.HEAP
            heapq.heappush(self._heap, mortal)

    def drop(self, mortal: Mortal) -> None:
        """Let go of one whatever its moment; nothing happens when it was taken already."""
        place, mortal.place = mortal.place, _Place.NOWHERE
        if place is _Place.RUN:
            mortal.sooner.later = mortal.later
            mortal.later.sooner = mortal.sooner
        elif place is _Place.HEAP:
            self._dropped += 1
            # Rebuilding costs O(heap) and happens only after a fifth as many drops: O(1) for each.
            if 5 * self._dropped > len(self._heap) + 64:
                self._heap = [other for other in self._heap if other.place is _Place.HEAP]
                heapq.heapify(self._heap)
                self._dropped = 0

    def pop_due(self, now: float) -> bytes | None:
        """Take the soonest whose moment is `now` or earlier and name its key; None when there is none."""
        while self._heap and self._heap[0].place is _Place.NOWHERE:
            heapq.heappop(self._heap)
            self._dropped -= 1
        soonest = self._run.later  # the ring's own node, which never ends, when the run is empty
        if self._heap and self._heap[0].ends_at < soonest.ends_at:
            soonest = self._heap[0]
        if soonest.ends_at > now or soonest is self._run:
            return None
        self.drop(soonest)
        return soonest.key
