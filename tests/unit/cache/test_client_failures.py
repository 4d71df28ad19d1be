"""`app.cache.client` with a shared cache that is slow, dead, cleared or another one."""

import asyncio
import logging

import pytest

from app.cache import client as cache_client
from app.cache import shared as shared_cache
from app.cache.client import CacheClient, CacheLookup
from app.cache.lru import LruTtlCache
from app.errors import CacheUnavailable
from loadtests.cache_walk import keys_of
from tests.support.aio import turns, until
from tests.support.cache_transport import K, Wire, answer_polls, client_of, polling, shared_of, store, values


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_cache, "PARK_S", 60.0)
    monkeypatch.setattr(cache_client, "IDLE_PARK_S", 0.0)
    monkeypatch.setattr(cache_client, "RETRY_S", 0.0)


async def test_a_dead_cache_is_a_miss_and_left_alone_until_a_poll_is_answered(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "app.cache.client"):
        shared = shared_of()
        (a, wire), (b, _) = client_of(shared, "a"), client_of(shared, "b")
        async with polling(a, b):
            await store(b, K[0])
            wire.dead = True
            assert await values(a, K[0]) == [None]
            assert (a.reachable, wire.count("lookup")) == (False, 1)
            await store(a, K[1])
            assert await values(a, K[0], K[1]) == [None, b"v"]  # the near copy is on its lease still
            assert (wire.count("lookup"), wire.count("put")) == (1, 0)
            await wire.drop()
            polls = wire.count("poll")
            await until(lambda: wire.count("poll") > polls + 3)
            assert await values(a, K[0]) == [None]
            wire.dead = False
            await turns()
            await answer_polls(shared)
            assert a.reachable
            assert await values(a, K[0]) == [b"v"]
    assert [record.getMessage() for record in caplog.records] == [
        "shared cache out of reach (ConnectionError); every look-up is a miss until it is back"
    ]


async def test_a_slow_cache_is_a_miss_within_the_deadline_and_the_third_opens_the_breaker() -> None:
    shared = shared_of()
    (a, wire), (b, _) = client_of(shared, "a", deadline_s=0.05), client_of(shared, "b")
    async with polling(a, b):
        await store(b, K[0])
        for slow in (1, 2):
            wire.held.add("lookup")
            assert await values(a, K[0]) == [None]
            assert (a.reachable, wire.count("lookup")) == (True, slow)
        await wire.release("lookup")
        assert await values(a, K[1]) == [None]  # a quick answer: the count begins anew
        wire.held.add("lookup back")
        for _ in range(2):
            assert await values(a, K[0]) == [None]
        await answer_polls(shared)  # so does an answered poll
        for slow in (6, 7, 8):
            assert a.reachable
            assert await values(a, K[0]) == [None]
            assert wire.count("lookup") == slow
        assert not a.reachable
        assert await values(a, K[0]) == [None]
        assert wire.count("lookup") == 8
        await wire.release("lookup back")
        await answer_polls(shared)
        assert a.reachable
        assert await values(a, K[0]) == [b"v"]


async def test_a_put_that_fails_opens_the_breaker_and_nothing_else() -> None:
    shared = shared_of()
    client, wire = client_of(shared, "a")
    async with polling(client):
        wire.dead = True
        await store(client, K[0])
        assert (client.reachable, await values(client, K[0])) == (False, [b"v"])
        await store(client, K[1])
        assert wire.count("put") == 1
        wire.dead = False
        await answer_polls(shared)
        await store(client, K[2])
        assert wire.puts == [[K[0]], [K[2]]]
        assert keys_of(shared.store) == [K[2]]


@pytest.mark.parametrize("call", ["poll", "put"])
async def test_a_call_that_is_never_answered_opens_the_breaker(call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_cache, "PARK_S", 0.0)

    wire = Wire(shared_of())
    client = CacheClient(wire, LruTtlCache(10, 10**6, 0), lease_s=2, patience_s=0.01)
    async with polling(client):
        found = await client.get_many([K[0]])
        wire.held |= {call, "poll"}  # else the next answered poll closes the breaker again
        client.put_many(found.epoch, [(K[0], b"v")])
        await until(lambda: call in wire.abandoned and not client.reachable)
        for name in list(wire.held):
            await wire.release(name)
        await until(lambda: client.reachable)


async def test_what_was_looked_up_before_a_clear_is_not_kept_after_it() -> None:
    shared = shared_of()
    client, wire = client_of(shared, "a")
    async with polling(client):
        found = await client.get_many([K[0]])
        assert await client.clear() == 0
        client.put_many(found.epoch, [(K[0], b"old")])
        await turns()
        assert (wire.count("put"), len(client.near), len(shared.store)) == (0, 0, 0)
        assert await client.get_many([K[0]]) == CacheLookup(shared.epoch, [None])


async def test_a_put_overtaken_by_a_clear_is_refused() -> None:
    shared = shared_of()
    (a, wire), (b, _) = client_of(shared, "a"), client_of(shared, "b")
    async with polling(a, b):
        wire.held.add("put")
        await store(a, K[0])
        await store(a, K[1])  # waits for the first put to return
        await b.clear()
        await store(a, K[2])
        await wire.release("put")
        assert wire.puts == [[K[0]], [K[2]]]
        assert keys_of(shared.store) == [K[2]]
        assert [await values(client, *K[:3]) for client in (a, b)] == [[None, None, b"v"]] * 2


async def test_an_answer_older_than_a_clear_brings_nothing_back() -> None:
    shared = shared_of()
    (a, wire), (b, _) = client_of(shared, "a"), client_of(shared, "b")
    async with polling(a, b):
        await store(b, K[0])
        before = shared.epoch
        wire.held.add("lookup back")
        asking = asyncio.get_running_loop().create_task(a.get_many([K[0]]))
        await turns()
        assert await b.clear() == 1
        await wire.release("lookup back")
        assert await asking == CacheLookup(before, [b"v"])  # it was asked before the clear
        a.put_many(before, [(K[0], b"v")])
        await turns()
        assert await a.get_many([K[0]]) == CacheLookup(shared.epoch, [None])
        assert len(a.near) == 0


async def test_an_answer_newer_than_the_last_poll_is_used_and_not_kept() -> None:
    shared = shared_of()
    (a, wire), (b, _) = client_of(shared, "a"), client_of(shared, "b")
    async with polling(a, b):
        await store(b, K[7])
        wire.held.add("poll back")
        clearing = asyncio.get_running_loop().create_task(b.clear())
        await turns()
        await store(b, K[0])
        assert await values(a, K[0]) == [b"v"]
        assert (len(a.near), clearing.done()) == (0, False)
        await wire.release("poll back")
        assert await clearing == 1


async def test_a_clear_that_is_not_answered_is_an_error() -> None:
    shared = shared_of()
    wire = Wire(shared)
    client = CacheClient(wire, LruTtlCache(10, 10**6, 0), lease_s=0.05, patience_s=0.05)
    wire.dead = True
    with pytest.raises(CacheUnavailable) as dead:
        await client.clear()
    assert dead.value.retry_after == 1
    wire.dead = False
    wire.held.add("clear")
    with pytest.raises(CacheUnavailable):
        await client.clear()
    await wire.release("clear")
    assert await client.clear() == 0


async def test_statistics_of_a_dead_cache_are_ones_own() -> None:
    client, wire = client_of(shared_of(), "a")
    async with polling(client):
        await store(client, K[0])
        await values(client, K[0])
        wire.dead = True
        stats = await client.stats()
        assert (stats.size, stats.hits, stats.near_hits, stats.misses) == (1, 1, 1, 1)
        assert (stats.clients, stats.available) == (1, False)


async def test_a_restarted_cache_is_a_new_epoch_and_old_copies_go() -> None:
    old, new = shared_of(), shared_of()
    (a, a_wire), (b, b_wire) = client_of(old, "a"), client_of(old, "b")
    async with polling(a, b):
        await store(a, K[0])
        old_epoch = old.epoch
        for wire in (a_wire, b_wire):
            wire.shared = new
            await wire.drop()
        await until(lambda: a.reachable and b.reachable)
        await turns()
        assert await a.get_many([K[0]]) == CacheLookup(new.epoch, [None])
        a.put_many(old_epoch, [(K[0], b"old")])
        await store(b, K[1])
        assert await values(a, K[0], K[1]) == [None, b"v"]
        assert keys_of(new.store) == [K[1]]
        await answer_polls(new)
        assert (await new.stats(patience_s=0)).misses == 4  # with what was counted before
