"""Several shards as one cache; what one shard's client does is `test_cache_client`'s."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import blake2b

import pytest

from app.cache import shared
from app.cache.sharded import CacheShards, shard_of
from app.cache.shared import SharedCache
from app.errors import CacheUnavailable
from tests.support.aio import turns
from tests.support.cache_transport import Wire, answer_polls, client_of, polling, shared_of

KEYS = [blake2b(str(number).encode(), digest_size=16).digest() for number in range(40)]
LOST = [key for key in KEYS if shard_of(key, 3) == 1]
ENTRIES = [(key, b"of " + key) for key in KEYS]


@pytest.fixture(autouse=True)
def polls_park_until_something_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared, "PARK_S", 60.0)


@asynccontextmanager
async def three(*, near_bytes: int = 10**9) -> AsyncIterator[tuple[CacheShards, list[SharedCache], list[Wire]]]:
    stores = [shared_of() for _ in range(3)]
    clients = [client_of(store, "a", near_bytes=near_bytes) for store in stores]
    async with polling(*(client for client, _ in clients)):
        yield CacheShards([client for client, _ in clients]), stores, [wire for _, wire in clients]


async def test_each_key_is_in_its_shard_and_all_are_found() -> None:
    async with three(near_bytes=1) as (cache, stores, wires):
        lacking: list[int] = []
        found = await cache.get_many(KEYS, lacking.extend)
        assert found.values == [None] * len(KEYS)
        assert sorted(lacking) == [*range(len(KEYS))]
        assert len({shard_of(KEYS[i], 3) for i in lacking[:5]}) == 1
        cache.put_many(found.epoch, ENTRIES)
        await turns()
        for number, store in enumerate(stores):
            assert {key for key in KEYS if store.store.get(key)} == {k for k in KEYS if shard_of(k, 3) == number}
        assert (await cache.get_many(KEYS)).values == [value for _, value in ENTRIES]
        # A key is asked of its own shard only.
        before = [wire.count("lookup") for wire in wires]
        assert (await cache.get_many([LOST[0]])).values == [b"of " + LOST[0]]
        assert [wire.count("lookup") - n for wire, n in zip(wires, before, strict=True)] == [0, 1, 0]


async def test_a_dead_shard_costs_its_own_keys_only() -> None:
    async with three(near_bytes=1) as (cache, _, wires):
        cache.put_many((await cache.get_many(KEYS)).epoch, ENTRIES)
        await turns()
        wires[1].dead = True
        await wires[1].drop()
        found = await cache.get_many(KEYS)
        assert [key for key, value in zip(KEYS, found.values, strict=True) if value is None] == LOST
        assert not cache.reachable
        cache.put_many(found.epoch, ENTRIES)
        await turns()
        with pytest.raises(CacheUnavailable):
            await cache.clear()
        assert not (await cache.stats()).available


async def test_a_cleared_shard_refuses_what_was_looked_up_before() -> None:
    async with three() as (cache, stores, _):
        found = await cache.get_many(KEYS)
        await stores[1].clear()
        cache.put_many(found.epoch, ENTRIES)
        await turns()
        assert [len(store.store) for store in stores] == [
            0 if number == 1 else sum(shard_of(key, 3) == number for key in KEYS) for number in range(3)
        ]


async def test_clear_and_stats_are_of_all() -> None:
    async with three() as (cache, stores, _):
        await cache.warm(ENTRIES)
        assert (await cache.get_many(KEYS)).values == [value for _, value in ENTRIES]
        for store in stores:
            await answer_polls(store)
        stats = await cache.stats()
        assert (stats.size, stats.max_size, stats.hits, stats.misses) == (len(KEYS), 300, len(KEYS), 0)
        assert (stats.clients, stats.available) == (1, True)
        assert await cache.clear() == len(KEYS)
        assert (await cache.get_many(KEYS)).values == [None] * len(KEYS)


async def test_nothing_to_look_up_is_nothing() -> None:
    """As in a request of nothing but images that can't be read."""
    async with three() as (cache, _, _):
        assert (await cache.get_many([])).values == []
        await cache.warm([])


async def test_what_nobody_looked_up_is_not_put() -> None:
    async with three() as (cache, stores, _):
        found = await cache.get_many([LOST[0]])
        for epoch in (None, "", found.epoch):
            cache.put_many(epoch, ENTRIES)
        await turns()
        assert [len(store.store) for store in stores] == [0, len(LOST), 0]
