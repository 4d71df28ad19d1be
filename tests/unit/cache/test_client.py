"""`app.cache.client` while all goes well, or ends in order; `test_client_failures.py` has the rest."""

import asyncio

import pytest

from app.cache import client as cache_client
from app.cache import shared as shared_cache
from app.cache import write_behind
from app.cache.client import CacheLookup
from app.cache.shared import IDLE_PARK_S, Counts
from app.errors import Overloaded
from loadtests.cache_walk import keys_of
from tests.support.aio import Clock, turns
from tests.support.cache_transport import LARGE, K, answer_polls, client_of, polling, shared_of, store, values


@pytest.fixture(autouse=True)
def polls_park_until_something_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_cache, "PARK_S", 60.0)


async def test_a_miss_here_is_a_hit_there_and_then_near() -> None:
    shared = shared_of()
    (a, _), (b, wire) = client_of(shared, "a"), client_of(shared, "b")
    async with polling(a, b):
        assert await a.get_many([K[0], K[1]]) == CacheLookup(shared.epoch, [None, None])
        a.put_many(shared.epoch, [(K[0], b"zero"), (K[1], b"one")])
        await turns()
        assert await values(b, K[1], K[2], K[0]) == [b"one", None, b"zero"]
        assert wire.count("lookup") == 1
        assert await values(b, K[0], K[1]) == [b"zero", b"one"]
        assert wire.count("lookup") == 1
    assert b.counts == Counts(hits=4, near_hits=2, misses=1)
    assert a.counts == Counts(hits=0, near_hits=0, misses=2)


async def test_only_what_is_not_near_is_asked_for() -> None:
    shared = shared_of()
    (a, _), (b, wire) = client_of(shared, "a"), client_of(shared, "b")
    async with polling(a, b):
        await store(a, K[0], value=b"zero")
        await store(a, K[1], value=b"one")
        assert await values(b, K[1]) == [b"one"]
        assert await values(b, K[0], K[1], K[2]) == [b"zero", b"one", None]
        assert wire.asked == [[K[1]], [K[0], K[2]]]


async def test_a_look_up_can_be_refused_before_the_shared_cache_is_asked() -> None:
    shared = shared_of()
    (a, _), (b, wire) = client_of(shared, "a"), client_of(shared, "b")
    heard: list[list[int]] = []

    def refuse(lacking: list[int]) -> None:
        heard.append(lacking)
        raise Overloaded("full", retry_after=1)

    async with polling(a, b):
        await store(a, K[0], value=b"zero")
        await store(b, K[1], value=b"one")
        asked = len(wire.asked)
        with pytest.raises(Overloaded):
            await b.get_many([K[0], K[1], K[2]], refuse)
        assert (heard, len(wire.asked)) == ([[0, 2]], asked)
        assert (await b.get_many([K[1]], refuse)).values == [b"one"]
        assert (b.counts.hits, b.counts.near_hits, b.counts.misses) == (1, 1, 1)


async def test_before_the_first_poll_all_is_a_miss_and_nothing_is_kept() -> None:
    client, wire = client_of(shared_of(), "a")
    assert await client.get_many([K[0]]) == CacheLookup(None, [None])
    client.put_many(None, [(K[0], b"v")])
    await turns()
    assert (wire.calls, len(client.near), client.reachable) == ([], 0, False)


async def test_the_sole_writer_does_not_ask() -> None:
    shared = shared_of()
    (a, wire), (b, _) = client_of(shared, "a"), client_of(shared, "b")
    async with polling(a, b):
        await store(a, K[0])
        assert await values(a, K[0], K[1]) == [b"v", None]
        assert (wire.count("lookup"), wire.count("put")) == (0, 1)
        await store(b, K[1])
        assert await values(a, K[1]) == [b"v"]
        assert wire.count("lookup") == 1


async def test_the_sole_writer_asks_once_its_near_cache_has_evicted_for_lack_of_bytes() -> None:
    shared = shared_of()
    client, wire = client_of(shared, "a", near_bytes=800)  # room for two
    async with polling(client):
        await store(client, *K[:2])
        assert (await values(client, K[0], K[1], K[3]), wire.asked) == ([b"v", b"v", None], [])
        await store(client, K[2])
        assert (await values(client, K[3], K[0]), wire.asked) == ([None, b"v"], [[K[3], K[0]]])
        assert client.shared_lookups == 2
        clearing = asyncio.get_running_loop().create_task(client.clear())
        await turns()
        assert await clearing == 3
        assert await values(client, K[0]) == [None]
        assert wire.count("lookup") == 1  # all is known again


async def test_the_sole_writer_does_not_ask_for_what_both_caches_had_no_entry_for() -> None:
    shared = shared_of()
    client, wire = client_of(shared, "a")
    async with polling(client):
        many = [b"one of many %4d" % number for number in range(101)]
        await store(client, *many)
        assert await values(client, many[0]) == [None]
        assert (wire.count("lookup"), client.near.evictions, shared.store.evictions) == (0, 1, 1)


@pytest.mark.parametrize("near_bytes", [0, 1, 500])
async def test_the_sole_writer_asks_for_what_its_near_cache_could_not_keep(near_bytes: int) -> None:
    shared = shared_of()
    client, wire = client_of(shared, "a", near_bytes=near_bytes)
    async with polling(client):
        await store(client, K[0], value=bytes(200))
        assert len(client.near) == 0
        assert await values(client, K[0]) == [bytes(200)]
        await client.clear()
        assert (await values(client, K[0]), wire.count("lookup")) == ([None], 1)  # all is known again


async def test_near_copies_are_served_on_a_lease_only() -> None:
    clock = Clock()
    shared = shared_of(clock)
    client, wire = client_of(shared, "a")
    async with polling(client):
        await store(client, K[0])
        clock.now += 1.999
        assert (await values(client, K[0]), wire.count("lookup")) == ([b"v"], 0)
        clock.now += 0.001
        assert (await values(client, K[0]), wire.count("lookup")) == ([b"v"], 1)
        assert client.counts.near_hits == 1
        await answer_polls(shared)  # the poll began long ago, and so did its lease
        assert (await values(client, K[0]), wire.count("lookup")) == ([b"v"], 2)
        await answer_polls(shared)
        assert (await values(client, K[0]), wire.count("lookup")) == ([b"v"], 2)


async def test_a_client_that_looks_nothing_up_is_idle_and_still_counted() -> None:
    clock = Clock()
    shared = shared_of(clock)
    client, wire = client_of(shared, "a")
    async with polling(client):
        assert [poll.idle for poll in wire.polls] == [False, True]
        await values(client, K[0])
        await answer_polls(shared)
        await answer_polls(shared)
        assert [poll.idle for poll in wire.polls] == [False, True, False, True]
        clock.now += IDLE_PARK_S + shared.lease_s - 0.1  # parked for longer than its lease
        assert shared.idle_s == 0
        assert len(shared._live()) == 1  # noqa: SLF001
        clock.now += 0.2
        assert len(shared._live()) == 0  # noqa: SLF001


async def test_an_idle_clients_lease_is_renewed_as_soon_as_it_is_missed() -> None:
    clock = Clock()
    shared = shared_of(clock)
    client, wire = client_of(shared, "a")
    async with polling(client):
        await store(client, K[0])
        await answer_polls(shared)
        await answer_polls(shared)
        clock.now += 5.0
        assert (await values(client, K[0]), wire.count("lookup")) == ([b"v"], 1)
        assert (await values(client, K[0]), wire.count("lookup")) == ([b"v"], 1)
        assert [poll.idle for poll in wire.polls[-3:]] == [True, False, True]


async def test_a_near_copy_lives_no_longer_than_its_original() -> None:
    clock = Clock()
    shared = shared_of(clock, ttl_ms=1000)
    (a, _), (b, wire) = client_of(shared, "a"), client_of(shared, "b")
    async with polling(a, b):
        await store(a, K[0])
        clock.now += 0.75
        assert await values(b, K[0]) == [b"v"]
        clock.now += 0.2
        assert (await values(b, K[0]), wire.count("lookup")) == ([b"v"], 1)
        clock.now += 0.05
        assert (await values(b, K[0]), wire.count("lookup")) == ([None], 2)


async def test_near_hits_are_reported_with_the_next_poll() -> None:
    shared = shared_of()
    client, wire = client_of(shared, "a")
    async with polling(client):
        await store(client, *K[:3])
        await values(client, K[1], K[7])
        await values(client, K[0], K[1])
        await answer_polls(shared)
        assert wire.polls[-1].touched == [K[1], K[0]]
        assert keys_of(shared.store) == [K[2], K[1], K[0]]
        assert wire.polls[-1].counts == Counts(hits=3, near_hits=3, misses=4)
        await answer_polls(shared)
        assert wire.polls[-1].touched == []


async def test_touched_keys_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_client, "MAX_TOUCHED", 2)

    shared = shared_of()
    client, wire = client_of(shared, "a")
    async with polling(client):
        await store(client, *K)
        for key in K:
            await values(client, key)
        await answer_polls(shared)
        assert wire.polls[-1].touched == K[:2]


@pytest.mark.parametrize("near_bytes", [0, 800])  # room for none and for two
async def test_what_was_found_in_the_shared_cache_is_asked_for_again_when_the_near_one_lacks_it(
    near_bytes: int,
) -> None:
    shared = shared_of()
    client, _ = client_of(shared, "a", near_bytes=near_bytes)
    async with polling(client):
        await store(client, *K[:4])
        for _ in range(9):  # of the four the two others are never asked for, and not forgotten
            assert await values(client, K[0], K[1]) == [b"v"] * 2
            assert await values(client, K[2]) == [b"v"]
        assert await values(client, K[3]) == [b"v"]


async def test_what_waits_to_be_put_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write_behind, "MAX_PENDING_BYTES", 8)

    shared = shared_of()
    client, wire = client_of(shared, "a")
    async with polling(client):
        wire.held.add("put")
        await store(client, K[0])
        for key in K[1:]:
            await store(client, key, value=b"1234")
        await wire.release("put")
        assert wire.puts == [[K[0]], K[1:3]]
        await store(client, K[7], value=b"1234")
        assert wire.puts[2:] == [[K[7]]]
        assert len(client.near) == 8


async def test_after_clear_no_client_serves_an_old_copy() -> None:
    shared = shared_of()
    (a, _), (b, _) = client_of(shared, "a"), client_of(shared, "b")
    async with polling(a, b):
        await store(a, *K)
        assert await values(b, *K) == [b"v"] * 8
        assert await a.clear() == 8
        assert [await values(client, *K) for client in (a, b)] == [[None] * 8] * 2


async def test_statistics_are_the_clusters() -> None:
    shared = shared_of()
    (a, _), (b, _) = client_of(shared, "a"), client_of(shared, "b")
    async with polling(a, b):
        await store(a, K[0])
        await values(b, K[0])
        await a.stats()
        await turns()
        stats = await a.stats()
        assert (stats.size, stats.max_bytes, stats.hits, stats.misses) == (1, LARGE, 1, 1)
        assert (stats.clients, stats.available) == (2, True)
