"""R6: a million stateful operations on the cache, each followed by a comparison with a model too simple to be wrong."""

import time

from loadtests.cache_walk import TTL_MS, Pair, walk
from loadtests.faults.row import Row

NAME = "cache against its model"
OPERATIONS = 1_000_000
STEPS = 10_000


def scenario(scale: float) -> Row:
    return run(round(OPERATIONS * scale))


def run(operations: int) -> Row:
    done = evictions = expirations = 0
    began, seed = time.monotonic(), 1000
    problems: list[str] = []
    while done < operations:
        # Every fifth walk without an end of life.
        life = 0 if seed % 5 == 0 else TTL_MS
        steps = min(STEPS, operations - done)
        try:
            pair: Pair = walk(seed, steps, life)
        except AssertionError as error:
            problems.append(f"seed {seed}: {str(error)[:300]}")
            break
        done, seed = done + steps, seed + 1
        evictions += pair.cache.evictions
        expirations += pair.cache.expirations
    row = Row(NAME, done, operations, done, operations)
    row.problems += problems
    row.must(evictions > done // 1000 and expirations > done // 1000, "the walk did not go where the rules are")
    row.notes.append(f"entries, bytes, recency, lives and counters after each: {evictions:,} evictions, ")
    row.notes[-1] += f"{expirations:,} expirations, {time.monotonic() - began:.0f} s"
    return row
