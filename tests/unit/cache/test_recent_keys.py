"""`app.cache.recent_keys`: what is remembered, for how long, and how often it is wrong."""

import hashlib

import pytest

from app.cache.recent_keys import RecentKeys


def keys(start: int, stop: int) -> list[bytes]:
    return [hashlib.blake2b(number.to_bytes(8, "little"), digest_size=16).digest() for number in range(start, stop)]


def added(memory: RecentKeys, *some: bytes) -> RecentKeys:
    for key in some:
        memory.add(key)
    return memory


@pytest.mark.parametrize("capacity", [1, 2, 7, 1000])
@pytest.mark.parametrize("before", [0, 1, 999, 1000, 1001, 12_345])
def test_the_last_keys_are_never_forgotten(capacity: int, before: int) -> None:
    memory = added(RecentKeys(capacity), *keys(0, before + capacity))
    assert all(key in memory for key in keys(before, before + capacity))


def test_a_strange_key_is_seldom_known() -> None:
    memory = added(RecentKeys(10_000), *keys(0, 20_000))
    assert sum(key in memory for key in keys(20_000, 120_000)) < 500  # of 100,000; about 80 expected


def test_what_is_old_is_forgotten() -> None:
    memory = added(RecentKeys(100), *keys(0, 1000))
    assert sum(key in memory for key in keys(0, 800)) < 40


def test_cleared_it_knows_nothing_and_learns_again() -> None:
    memory = added(RecentKeys(3), *keys(0, 5))
    memory.clear()
    assert not any(key in memory for key in keys(0, 5))
    assert keys(0, 1)[0] in added(memory, *keys(0, 1))


def test_a_repeated_key_drives_no_other_out() -> None:
    memory = added(RecentKeys(100), *keys(0, 100), *keys(0, 50) * 9)
    assert all(key in memory for key in keys(0, 100))
