"""`app.cache.sharded.shard_of`: fixed for ever, even, and moves as few keys as can be."""

from hashlib import blake2b

import pytest

from app.cache.sharded import parts, shard_of

KEYS = [blake2b(str(number).encode(), digest_size=16).digest() for number in range(20_000)]
EXPECTED = [1, 3, 3, 0, 1, 2, 3, 0, 0, 2, 3, 1]


@pytest.mark.parametrize("shards", [2, 3, 4, 7])
def test_every_shard_has_its_share(shards: int) -> None:
    sizes = [len(indices) for indices in parts(KEYS, shards).values()]
    assert len(sizes) == shards
    # Five standard deviations of a fair draw.
    mean = len(KEYS) / shards
    assert max(abs(size - mean) for size in sizes) < 5 * mean**0.5


@pytest.mark.parametrize("shards", [1, 2, 4])
def test_one_more_takes_its_share_and_moves_nothing_else(shards: int) -> None:
    before, after = ([shard_of(key, count) for key in KEYS] for count in (shards, shards + 1))
    moved = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert {new for _, new in moved} == {shards}
    assert {old for old, _ in moved} == set(range(shards))
    assert len(moved) == pytest.approx(len(KEYS) / (shards + 1), rel=0.05)


def test_a_key_s_shard_is_for_ever() -> None:
    # Another function would make every key a miss, in a cluster whose ingresses are updated one by one.
    assert [shard_of(key, 4) for key in KEYS[:12]] == EXPECTED


def test_parts_keep_the_order() -> None:
    assert parts(KEYS[:12], 4) == {n: [i for i, s in enumerate(EXPECTED) if s == n] for n in set(EXPECTED)}
    assert parts(KEYS[:3], 1) == {0: [0, 1, 2]}
