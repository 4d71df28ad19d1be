"""Which (batch, length) shapes the model runs in; pure arithmetic. A backend that builds kernels per shape must see few
shapes, yet padding is work too. Lengths go up to the next grid value; a batch is cut into grid sizes where padding it
would cost more than starting another run."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from functools import lru_cache

LONGEST_WARMED = 1024
# One text alone is padded to these, where a backend has a graph for each.
ALONE = (8, 16, 24, 32)
# Finer steps ran no faster, cut as below.
BATCHES = (1, 2, 4, 8, 16, 32)

# Starting a run costs as much as this many tokens (MiniLM, 2 cores: 2 ms against 0.05 ms a token).
RUN_OVERHEAD_TOKENS = 40


def bucket(n: int, grid: Sequence[int]) -> int:
    """The smallest grid value that holds `n`; beyond the grid, multiples of its last value."""
    return grid[bisect_left(grid, n)] if n <= grid[-1] else -(-n // grid[-1]) * grid[-1]


@lru_cache
def lengths(max_length: int) -> tuple[int, ...]:
    """The padded lengths of a model that reads at most `max_length` tokens, in steps of about a tenth (of two tokens
    where texts are short); the last is `max_length`."""
    steps = (*range(4, 16, 2), *range(16, 64, 4), *range(64, 128, 8), *range(128, 256, 16), *range(256, 513, 32))
    longer = _octaves(512, max_length, [1 + step / 8 for step in range(1, 9)])
    return (*(value for value in (*steps, *longer) if value < max_length), max_length)


@lru_cache
def lengths_alone(max_length: int) -> tuple[int, ...]:
    """The same for one text alone."""
    few = [value for value in ALONE if value <= max_length]
    return (*few, *(value for value in lengths(max_length) if value > max((0, *few))))


def _octaves(first: int, last: int, steps: Sequence[float]) -> Iterator[int]:
    while first < last:
        yield from (int(first * step) for step in steps)
        first *= 2


@lru_cache(maxsize=4096)
def pieces(n: int, length: int) -> tuple[tuple[int, int], ...]:
    """`n` rows of `length` tokens as runs: (rows, padded rows) each, cheapest in padded tokens and starts."""
    whole, rest = divmod(n, BATCHES[-1])
    # best[k]: least cost of k rows and the size of its first run.
    best: list[tuple[int, int]] = [(0, 0)]
    for k in range(1, rest + 1):
        best.append(
            min(
                (size * length + RUN_OVERHEAD_TOKENS + best[max(0, k - size)][0], size)
                for size in BATCHES
                if size <= k or size == bucket(k, BATCHES)
            )
        )
    tail = []
    while rest > 0:
        size = best[rest][1]
        tail.append((min(size, rest), size))
        rest -= size
    return ((BATCHES[-1], BATCHES[-1]),) * whole + tuple(sorted(tail, reverse=True))


def plan(n: int, length: int, fixed: bool) -> Sequence[tuple[int, int]]:
    """The runs of `n` rows: `pieces` where shapes are fixed, else one of them all."""
    if fixed:
        return pieces(n, length)
    return ((n, n),) if n else ()


def warmed(max_batch: int, max_tokens_per_run: int, lengths: Sequence[int]) -> list[tuple[int, int]]:
    """(rows, length) to run before traffic comes: one short text, which somebody waits for alone, and the largest run,
    of texts no longer than LONGEST_WARMED, whose memory is then known to be there. The first run of any other shape
    costs 3 ms more than the next (MiniLM on OpenVINO); all of them in advance cost each start seconds."""
    longest = max((length for length in lengths if length <= LONGEST_WARMED), default=lengths[0])
    most = max(1, min(max_batch, max_tokens_per_run // longest))
    short = {(1, bucket(min(length, lengths[-1]), lengths)) for length in ALONE}
    return sorted(short | {(max(size for size in BATCHES if size <= most), longest)})
