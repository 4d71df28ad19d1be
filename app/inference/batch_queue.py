"""Which waiting items the model runs next: continuous batching for encoders, pure and clock-free. Whenever the model is
free, `BatchQueue.pop` picks the oldest item and the batch that runs best with it. So batches grow while the model is
busy. Items of small requests go before those of large ones, and share no batch with them."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count

# What starting one run costs, in tokens' worth of work (MiniLM, 1 text against the slope of 2..32).
RUN_OVERHEAD_TOKENS = 32
# While items of large requests wait, so many full batches of small ones' may run: a quarter of the model is theirs.
PASSED = 3
# A batch of a large request that takes longer does not wait behind a busy model: what comes meanwhile would, for it.
RESERVE_S = 0.02


@dataclass(slots=True, eq=False)
class Job:
    """The items of one call. `lengths` are tokens (or 1 for an image); `deadline` is on the queue's clock. `large`:
    they are of a request of more than one micro-batch."""

    lengths: Sequence[int]
    deadline: float = float("inf")
    large: bool = False
    dropped: bool = False
    # Of this job, still in the queue.
    waiting: int = field(init=False, default=0)
    waiting_tokens: int = field(init=False, default=0)


@dataclass(frozen=True, slots=True)
class Slice:
    """Some items of one job that run in one micro-batch."""

    job: Job
    indices: list[int]


# Tickets, jobs and indices, in the order in which they came; by padded length.
Bucket = deque[tuple[int, Job, int]]
Buckets = dict[int, Bucket]


@dataclass(slots=True)
class _Waiting:
    """Items by bucket of padded length; their number and padded tokens."""

    items: int = 0
    tokens: int = 0
    buckets: Buckets = field(default_factory=dict)


@dataclass(slots=True)
class BatchQueue:
    """A single text that arrives behind 2,000 runs next, and those do not starve. Jobs of one kind run one after the
    other: interleaved, each would wait for the last of them.

    Args:
        max_items, max_tokens: Of one micro-batch, padding included; one item alone may exceed the tokens.
        bucket: Length in tokens -> padded length.
        seconds_per_token: Cost estimate; `observe` keeps it true.
    """

    max_items: int
    max_tokens: int
    bucket: Callable[[int], int]
    seconds_per_token: float = 4e-5
    late: list[Job] = field(default_factory=list)
    _small: _Waiting = field(default_factory=_Waiting)
    _large: _Waiting = field(default_factory=_Waiting)
    _passed: int = 0  # padded tokens of small ones that ran since one of the large that wait
    _tickets: "count[int]" = field(default_factory=count)

    def __len__(self) -> int:
        return self._small.items + self._large.items

    @property
    def waiting_tokens(self) -> int:
        return self._small.tokens + self._large.tokens

    def push(self, job: Job) -> None:
        waiting = self._of(job)
        for index in sorted(range(len(job.lengths)), key=job.lengths.__getitem__):
            padded = self.bucket(job.lengths[index])
            waiting.buckets.setdefault(padded, deque()).append((next(self._tickets), job, index))
            job.waiting_tokens += padded
        job.waiting += len(job.lengths)
        waiting.tokens += job.waiting_tokens
        waiting.items += job.waiting

    def drop(self, job: Job) -> None:
        """Take the waiting items of a cancelled job out of the queue and its counts."""
        if not job.dropped:
            job.dropped = True
            waiting = self._of(job)
            waiting.tokens -= job.waiting_tokens
            waiting.items -= job.waiting
            job.waiting = job.waiting_tokens = 0

    def observe(self, padded_tokens: int, seconds: float) -> None:
        """Learn from a run how long a token takes."""
        self.seconds_per_token += 0.1 * (seconds / (padded_tokens + RUN_OVERHEAD_TOKENS) - self.seconds_per_token)

    def full(self) -> bool:
        """Whether a whole micro-batch is next, so that handing it to a busy model loses nothing."""
        waiting = self._next()
        if waiting is self._large and self.max_tokens * self.seconds_per_token > RESERVE_S:
            return False
        return waiting.items >= self.max_items or waiting.tokens >= self.max_tokens

    def pop(self, now: float, free: int = 1, streams: int = 1) -> list[Slice]:
        """The next micro-batch; empty when nothing waits. Jobs past their deadline go to `late` instead. `free`
        micro-batches can start now, `streams` run at once: the last items are divided evenly, to end together."""
        for waiting in (self._small, self._large):
            self._sweep(waiting.buckets, now)
        waiting = self._next()
        tokens, buckets = self.max_tokens, waiting.buckets
        if not buckets:
            return []
        least = max(-(-waiting.items // self.max_items), -(-waiting.tokens // self.max_tokens))
        if free > 0 and least <= streams and (parts := max(least, free)) > 1:
            tokens = min(self.max_tokens, -(-waiting.tokens // parts))
        seed = min(buckets, key=lambda padded: buckets[padded][0])
        top, bottom = self._window(buckets, seed, tokens)
        slices = self._take(buckets, seed, top, bottom, tokens, now)
        passes = waiting is self._small and self._large.items
        self._passed = self._passed + top * sum(len(part.indices) for part in slices) if passes else 0
        return slices

    def _of(self, job: Job) -> _Waiting:
        return self._large if job.large else self._small

    def _next(self) -> _Waiting:
        """Of which the next batch is."""
        is_turn = self._large.items and self._passed >= PASSED * self.max_tokens
        return self._small if self._small.items and not is_turn else self._large

    def _sweep(self, buckets: Buckets, now: float) -> None:
        """Remove dropped and late items from the bucket heads, and buckets left empty."""
        for padded in list(buckets):
            bucket = buckets[padded]
            while bucket and self._is_over(bucket[0][1], now):
                bucket.popleft()
            if not bucket:
                del buckets[padded]

    def _is_over(self, job: Job, now: float) -> bool:
        if not job.dropped and job.deadline <= now:
            self.drop(job)
            self.late.append(job)
        return job.dropped

    def _window(self, buckets: Buckets, seed: int, tokens: int) -> tuple[int, int]:
        """The range of buckets around the seed's that makes the best use of one run: the most real tokens per token of
        work, its fixed cost and padding included."""
        lengths = sorted(buckets, reverse=True)
        best, best_use = (seed, seed), 0.0
        for top in lengths:
            if top < seed:
                break
            room = min(self.max_items, max(1, tokens // top))
            # The seed runs whatever else does; its place is kept free.
            items, real = 1, seed
            for bottom in (length for length in lengths if length <= top):
                waiting = len(buckets[bottom]) - (bottom == seed)
                taken = min(waiting, room - items)
                items += taken
                real += taken * bottom
                use = real / (items * top + RUN_OVERHEAD_TOKENS)
                if use > best_use and bottom <= seed:
                    best, best_use = (top, bottom), use
                if items == room:
                    break
        return best

    def _take(self, buckets: Buckets, seed: int, top: int, bottom: int, tokens: int, now: float) -> list[Slice]:
        room = min(self.max_items, max(1, tokens // top))
        slices: dict[int, Slice] = {}
        # The oldest item first; then the longest, as `_window` counted.
        room -= self._move(buckets[seed], seed, 1, slices, now)
        for padded in sorted((b for b in buckets if bottom <= b <= top), reverse=True):
            room -= self._move(buckets[padded], padded, room, slices, now)
            if not buckets[padded]:
                del buckets[padded]
        return list(slices.values())

    def _move(self, bucket: Bucket, padded: int, most: int, slices: dict[int, Slice], now: float) -> int:
        moved = 0
        while bucket and moved < most:
            _, job, index = bucket.popleft()
            if self._is_over(job, now):
                continue
            waiting = self._of(job)
            waiting.tokens -= padded
            waiting.items -= 1
            job.waiting -= 1
            job.waiting_tokens -= padded
            slices.setdefault(id(job), Slice(job, [])).indices.append(index)
            moved += 1
        return moved
