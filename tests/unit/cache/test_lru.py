"""`app.cache.lru` one rule at a time; `test_cache_model.py` has it all at once against a model."""

import gc
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from app.cache.lru import ENTRY_OVERHEAD, Entry, LruTtlCache
from loadtests.cache_walk import keys_of
from tests.support.aio import Clock

A, B, C, D = (bytes([letter]) * 16 for letter in b"abcd")
LARGE = 10**9


def in_memory(*keys: bytes) -> int:
    names = set(keys)
    return sum(issubclass(type(o), Entry) and o.key in names for o in gc.get_objects())


def test_least_recently_used_goes_first() -> None:
    cache = LruTtlCache(3, LARGE, 0)
    for key in (A, B, C):
        cache.put(key, b"v")
    assert cache.get(A) == b"v"
    cache.put(D, b"v")
    assert keys_of(cache) == [C, A, D]
    assert cache.get(B) is None
    assert cache.evictions == 1


def test_get_with_ttl_is_a_use() -> None:
    cache = LruTtlCache(2, LARGE, 0)
    cache.put(A, b"v")
    cache.put(B, b"v")
    assert cache.get_with_ttl(A) == (b"v", None)
    cache.put(C, b"v")
    assert keys_of(cache) == [A, C]


def test_bytes_are_bounded_and_several_may_have_to_go() -> None:
    size = 16 + 100 + ENTRY_OVERHEAD
    cache = LruTtlCache(100, 3 * size, 0)
    for key in (A, B, C):
        cache.put(key, bytes(100))
    assert (len(cache), cache.bytes, cache.evictions) == (3, 3 * size, 0)
    cache.put(D, bytes(101))
    assert keys_of(cache) == [C, D]
    assert (cache.bytes, cache.evictions) == (2 * size + 1, 2)


def test_a_value_that_cannot_fit_is_not_stored_and_evicts_nobody_else() -> None:
    fits = 1000 - 16 - ENTRY_OVERHEAD
    cache = LruTtlCache(100, 1000, 0)
    cache.put(A, b"old")
    cache.put(B, bytes(fits + 1))
    assert keys_of(cache) == [A]
    cache.put(A, bytes(fits + 1))  # replaced by what can't be kept: the old value must not come back
    assert keys_of(cache) == []
    cache.put(B, bytes(fits))
    assert (keys_of(cache), cache.bytes, cache.evictions) == ([B], 1000, 0)


def test_a_cache_without_room_keeps_nothing() -> None:
    for cache in (LruTtlCache(0, LARGE, 0), LruTtlCache(10, 0, 0)):
        cache.put(A, b"")
        assert (cache.get(A), len(cache), cache.evictions) == (None, 0, 0)


def test_a_life_ends_on_the_dot() -> None:
    clock = Clock()
    cache = LruTtlCache(10, LARGE, 1500, clock)
    cache.put(A, b"v")
    clock.now += 1.0
    assert cache.get_with_ttl(A) == (b"v", 0.5)
    clock.now += 0.499
    assert cache.get(A) == b"v"
    assert cache.expirations == 0
    clock.now += 0.001
    assert cache.get(A) is None
    assert (cache.expirations, cache.evictions) == (1, 0)


def test_zero_ttl_never_ends() -> None:
    clock = Clock()
    cache = LruTtlCache(10, LARGE, 0, clock)
    cache.put(A, b"v")
    clock.now += 1e9
    assert cache.get_with_ttl(A) == (b"v", None)


def test_the_ended_are_removed_unasked_and_before_anyone_is_evicted() -> None:
    clock = Clock()
    cache = LruTtlCache(2, LARGE, 1000, clock)
    first = b"ends, and is gone"
    cache.put(first, b"v")
    clock.now += 0.5
    cache.put(B, b"v")
    clock.now += 0.5
    cache.put(C, b"v")
    assert in_memory(first) == 0
    assert keys_of(cache) == [B, C]
    assert (cache.expirations, cache.evictions) == (1, 0)
    clock.now += 10
    assert (len(cache), cache.bytes, cache.expirations) == (0, 0, 3)


def test_touch_renews_recency_and_not_life() -> None:
    clock = Clock()
    cache = LruTtlCache(3, LARGE, 1000, clock)
    for key in (A, B, C):
        cache.put(key, b"v")
    clock.now += 0.9
    cache.touch([B, D, A])
    assert keys_of(cache) == [C, B, A]
    clock.now += 0.1
    cache.touch([A])
    assert (keys_of(cache), cache.expirations) == ([], 3)


def test_overwriting_replaces_value_size_recency_and_life() -> None:
    clock = Clock()
    cache = LruTtlCache(3, LARGE, 1000, clock)
    cache.put(A, b"old value")
    cache.put(B, b"v")
    clock.now += 0.9
    cache.put(A, b"new")
    assert keys_of(cache) == [B, A]
    assert cache.bytes == 2 * (16 + ENTRY_OVERHEAD) + len(b"new") + len(b"v")
    clock.now += 0.9
    value, left = cache.get_with_ttl(A) or (None, None)
    assert value == b"new"
    assert left == pytest.approx(0.1)
    assert (cache.expirations, cache.evictions) == (1, 0)


def test_a_life_may_be_shorter_and_not_longer() -> None:
    clock = Clock()
    cache = LruTtlCache(10, LARGE, 1000, clock)
    cache.put(A, b"v")
    cache.put(B, b"v", ttl_s=0.25)
    cache.put(C, b"v", ttl_s=5)
    cache.put(D, b"v", ttl_s=0)
    assert keys_of(cache) == [A, B, C]
    clock.now += 0.25
    assert keys_of(cache) == [A, C]
    clock.now += 0.75
    assert keys_of(cache) == []


def test_clear_counts_what_lived_and_gives_the_memory_back_at_once() -> None:
    clock = Clock()
    cache = LruTtlCache(10, LARGE, 1000, clock)
    keys = [b"cleared %d" % number for number in range(3)]
    cache.put(keys[0], b"v", ttl_s=0.1)
    cache.put(keys[1], b"v")
    cache.put(keys[2], b"v")
    clock.now += 0.1
    gc.disable()
    try:
        assert in_memory(*keys) == 3
        assert cache.clear() == 2
        assert in_memory(*keys) == 0
    finally:
        gc.enable()
    assert (len(cache), cache.bytes, cache.expirations, cache.evictions) == (0, 0, 1, 0)
    assert cache.clear() == 0


def test_what_was_dropped_does_not_pile_up_and_what_lives_still_ends() -> None:
    """Shortened lives wait in a heap where the evicted linger; it is rebuilt before they are many."""
    clock = Clock()
    cache = LruTtlCache(100, LARGE, 10**6, clock)
    cache.put(A, b"v")
    lives = {number.to_bytes(16, "big"): 100 + number * 7919 % 800 for number in range(5_000)}
    for key, life in lives.items():
        cache.put(key, b"v", ttl_s=life)
    assert in_memory(*lives) < 100 * 5 / 4 + 20
    living = keys_of(cache)
    for _ in range(800):
        clock.now += 1
        assert keys_of(cache) == [key for key in living if 1000 + lives[key] > clock.now]


def test_a_dropped_entry_that_lingers_holds_no_neighbours() -> None:
    cache = LruTtlCache(10, LARGE, 10**6, Clock())
    cache.put(A, b"v")
    cache.put(B, b"v", ttl_s=2)
    cache.put(C, b"v", ttl_s=1)  # kept, and next to end: B stays behind it
    keys = [b"neighbour %d" % number for number in range(1000)]
    for key in keys:
        cache.put(key, b"v")
        cache.touch([C])
    assert in_memory(*keys) == 9


@pytest.mark.parametrize(
    "ask",
    [
        lambda cache: cache.get(B),
        lambda cache: cache.get_with_ttl(B),
        lambda cache: cache.put(B, b"v"),
        lambda cache: cache.touch([b"lives not"]),
        lambda cache: cache.clear(),
        lambda cache: keys_of(cache),
        lambda cache: len(cache),
        lambda cache: cache.bytes,
        lambda cache: cache.expirations,
    ],
)
def test_every_call_sweeps(ask: Callable[[LruTtlCache], object]) -> None:
    clock = Clock()
    cache = LruTtlCache(10, LARGE, 1000, clock)
    cache.put(b"lives not", b"v")
    clock.now += 1
    assert in_memory(b"lives not") == 1
    ask(cache)
    assert in_memory(b"lives not") == 0
    assert cache.expirations == 1


def test_ten_thousand_entries_take_at_most_20_mb_of_the_process() -> None:
    root = Path(__file__).parents[3]
    run = subprocess.run(
        [sys.executable, "-m", "loadtests.cache_memory"], cwd=root, capture_output=True, text=True, check=True
    )
    measured = json.loads(run.stdout)
    assert measured["entries"] == 10_000
    assert max(measured["full_mb"], measured["churned_mb"]) <= 20
    # What `bytes` says is what it takes, so that a bound in bytes means something.
    assert measured["stated_mb"] == pytest.approx(measured["churned_mb"], rel=0.1)
