"""Which waiting items the model runs next: the micro-batch plan, pure and clock-free.

Continuous batching for encoders: nothing is planned ahead. Whenever the model is free, `BatchQueue.pop` picks
the oldest item and the batch that runs best with it. So batches grow while the model is busy, and a long request
can't hold up a short one behind it. The scheduler decides when the model runs.
"""

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count

# What starting one run costs, in tokens' worth of work; measured on MiniLM (1 text against the slope of 2..32).
RUN_OVERHEAD_TOKENS = 32


@dataclass(slots=True, eq=False)
class Job:
    """The items of one call. `lengths` are tokens (or 1 for an image); `deadline` is on the queue's clock."""

    lengths: Sequence[int]
    deadline: float = float("inf")
    dropped: bool = False
    # Of this job, still in the queue.
    waiting: int = field(init=False, default=0)
    waiting_tokens: int = field(init=False, default=0)


@dataclass(frozen=True, slots=True)
class Slice:
    """Some items of one job that run in one micro-batch."""

    job: Job
    indices: list[int]


@dataclass(slots=True)
class BatchQueue:
    """Items wait here, by bucket of padded length.

    The order is start-time fair: an item's place is the arrival time of its job plus the cost of the job's own
    micro-batches before it. A single text that arrives behind 2,000 runs next, not after them, and no job starves,
    since later ones arrive later. Jobs of at most one micro-batch run one after the other: interleaved, each would wait
    for the last of them.

    Args:
        max_items: Most items of one micro-batch.
        max_tokens: Most padded tokens of one micro-batch; one item alone may exceed it.
        bucket: Length in tokens -> padded length.
        seconds_per_token: Cost estimate for the fair order; `observe` keeps it true.
    """

    max_items: int
    max_tokens: int
    bucket: Callable[[int], int]
    seconds_per_token: float = 4e-5
    waiting_tokens: int = 0
    waiting_items: int = 0
    late: list[Job] = field(default_factory=list)
    _buckets: dict[int, list[tuple[float, int, Job, int]]] = field(default_factory=dict)
    _tickets: "count[int]" = field(default_factory=count)

    def __len__(self) -> int:
        return self.waiting_items

    def push(self, job: Job, now: float) -> None:
        place, items, tokens = now, 0, 0
        buckets = self._buckets
        for index in sorted(range(len(job.lengths)), key=job.lengths.__getitem__):
            padded = self.bucket(job.lengths[index])
            if items == self.max_items or (items and tokens + padded > self.max_tokens):
                place += tokens * self.seconds_per_token
                items = tokens = 0
            heapq.heappush(buckets.setdefault(padded, []), (place, next(self._tickets), job, index))
            items += 1
            tokens += padded
            job.waiting_tokens += padded
        job.waiting += len(job.lengths)
        self.waiting_tokens += job.waiting_tokens
        self.waiting_items += job.waiting

    def drop(self, job: Job) -> None:
        """Take the waiting items of a cancelled job out of the queue and its counts."""
        if not job.dropped:
            job.dropped = True
            self.waiting_tokens -= job.waiting_tokens
            self.waiting_items -= job.waiting
            job.waiting = job.waiting_tokens = 0

    def observe(self, padded_tokens: int, seconds: float) -> None:
        """Learn from a run how long a token takes."""
        self.seconds_per_token += 0.1 * (seconds / (padded_tokens + RUN_OVERHEAD_TOKENS) - self.seconds_per_token)

    def full(self) -> bool:
        """Whether a whole micro-batch waits, so that running it now loses nothing."""
        return self.waiting_items >= self.max_items or self.waiting_tokens >= self.max_tokens

    def pop(self, now: float, free: int = 1, streams: int = 1) -> list[Slice]:
        """The next micro-batch; empty when nothing waits. Jobs past their deadline go to `late` instead.

        Args:
            free: So many micro-batches can start now.
            streams: So many run at once. The last items are divided evenly among them, so that they end together.
        """
        self._sweep(now)
        tokens = self.max_tokens
        least = max(-(-self.waiting_items // self.max_items), -(-self.waiting_tokens // self.max_tokens))
        if free > 0 and least <= streams and (parts := max(least, free)) > 1:
            tokens = min(self.max_tokens, -(-self.waiting_tokens // parts))
        if not self._buckets:
            return []
        seed = min(self._buckets, key=lambda padded: self._buckets[padded][0])
        top, bottom = self._window(seed, tokens)
        return self._take(seed, top, bottom, tokens, now)

    def _sweep(self, now: float) -> None:
        """Remove dropped and late items from the bucket heads, and buckets left empty."""
        for padded in list(self._buckets):
            heap = self._buckets[padded]
            while heap and self._is_over(heap[0][2], now):
                heapq.heappop(heap)
            if not heap:
                del self._buckets[padded]

    def _is_over(self, job: Job, now: float) -> bool:
        if not job.dropped and job.deadline <= now:
            self.drop(job)
            self.late.append(job)
        return job.dropped

    def _window(self, seed: int, tokens: int) -> tuple[int, int]:
        """The range of buckets around the seed's that makes the best use of one run.

        Use is real tokens per token of work, the fixed cost of a run and padding included.
        """
        lengths = sorted(self._buckets, reverse=True)
        best, best_use = (seed, seed), 0.0
        for top in lengths:
            if top < seed:
                break
            room = min(self.max_items, max(1, tokens // top))
            # The seed runs whatever else does; its place is kept free.
            items, real = 1, seed
            for bottom in (length for length in lengths if length <= top):
                waiting = len(self._buckets[bottom]) - (bottom == seed)
                taken = min(waiting, room - items)
                items += taken
                real += taken * bottom
                use = real / (items * top + RUN_OVERHEAD_TOKENS)
                if use > best_use and bottom <= seed:
                    best, best_use = (top, bottom), use
                if items == room:
                    break
        return best

    def _take(self, seed: int, top: int, bottom: int, tokens: int, now: float) -> list[Slice]:
        room = min(self.max_items, max(1, tokens // top))
        slices: dict[int, Slice] = {}
        # The oldest item first; then the longest, as `_window` counted.
        room -= self._move(seed, 1, slices, now)
        for padded in sorted((b for b in self._buckets if bottom <= b <= top), reverse=True):
            room -= self._move(padded, room, slices, now)
            if not self._buckets[padded]:
                del self._buckets[padded]
        return list(slices.values())

    def _move(self, padded: int, most: int, slices: dict[int, Slice], now: float) -> int:
        moved = 0
        heap = self._buckets[padded]
        while heap and moved < most:
            _, _, job, index = heapq.heappop(heap)
            if self._is_over(job, now):
                continue
            self.waiting_tokens -= padded
            self.waiting_items -= 1
            job.waiting -= 1
            job.waiting_tokens -= padded
            slices.setdefault(id(job), Slice(job, [])).indices.append(index)
            moved += 1
        return moved
