import asyncio
import time

import pytest

from app.cache import shared
from app.cache.lru import LruTtlCache
from app.cache.shared import PollResponse, SharedCache
from tests.support.aio import Clock, turns
from tests.support.polling import LARGE, Client, K, cache_of, knock


@pytest.fixture(autouse=True)
def polls_park_until_something_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared, "PARK_S", 60.0)


def test_entries_come_back_with_the_epoch_and_their_life() -> None:
    clock = Clock()
    cache = cache_of(clock, ttl_ms=5000)
    assert cache.put("a", cache.epoch, [(K[0], b"zero"), (K[1], b"one")])
    clock.now += 2
    assert cache.lookup([K[1], K[2], K[0]]) == (cache.epoch, [(b"one", 3.0), None, (b"zero", 3.0)])
    clock.now += 3
    assert cache.lookup([K[1]]) == (cache.epoch, [None])


async def test_entries_of_another_epoch_are_refused() -> None:
    cache = cache_of()
    before = cache.epoch
    assert cache.put("a", before, [(K[0], b"v")]) is True
    assert await cache.clear() == 1
    assert cache.epoch != before
    assert cache.put("a", before, [(K[0], b"v")]) is False
    assert cache.lookup([K[0]]) == (cache.epoch, [None])


async def test_no_two_caches_and_no_two_clears_share_an_epoch() -> None:
    caches = [cache_of() for _ in range(5)]
    epochs = [cache.epoch for cache in caches]
    for cache in caches:
        for _ in range(5):
            await cache.clear()
            epochs.append(cache.epoch)
    assert len(set(epochs)) == 30


async def test_the_first_poll_is_answered_at_once_and_the_next_parks_until_something_changes() -> None:
    cache = cache_of()
    client = Client("a", cache)
    assert await client.poll() == PollResponse(cache.epoch, sole_writer=True, sole_client=True)
    assert await client.poll() is None
    assert client.parked
    clearing = asyncio.get_running_loop().create_task(cache.clear())
    await turns()
    assert await client.hear() == PollResponse(cache.epoch, sole_writer=True, sole_client=True)
    await client.poll()
    await clearing


async def test_a_poll_returns_after_a_while_where_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared, "PARK_S", 0.0)

    cache = cache_of()
    client = Client("a", cache)
    await client.poll()
    assert await client.poll() == PollResponse(cache.epoch, sole_writer=True, sole_client=True)


async def test_a_client_of_another_epoch_does_not_park() -> None:
    cache = cache_of()
    client = Client("a", cache)
    await client.poll()
    client.epoch = "an older cache's"
    assert await client.poll() == PollResponse(cache.epoch, sole_writer=True, sole_client=True)


async def test_clear_without_clients_returns_at_once() -> None:
    cache = cache_of()
    cache.put("a", cache.epoch, [(K[0], b"v"), (K[1], b"v")])
    assert [await cache.clear(), await cache.clear()] == [2, 0]


async def test_clear_waits_until_every_parked_client_is_back_with_the_new_epoch() -> None:
    cache = cache_of()
    clients = [await Client(name, cache).join() for name in "abc"]
    cache.put("a", cache.epoch, [(key, b"v") for key in K])
    for client in clients:
        while not client.parked:
            await client.poll()
    clearing = asyncio.get_running_loop().create_task(cache.clear())
    await turns()
    assert cache.lookup(K)[1] == [None] * 8
    for client in clients:
        assert (clearing.done(), client.parked) == (False, False)
        await client.poll()
        assert client.epoch == cache.epoch
    await turns()
    assert clearing.done(), "it waits for the end of a lease"
    assert await clearing == 8


async def test_clear_waits_for_the_lease_of_a_dead_client() -> None:
    clock = Clock()
    cache = cache_of(clock)
    await Client("dead", cache).poll()
    clock.now += 0.5
    alive = await Client("alive", cache).join()
    clearing = asyncio.get_running_loop().create_task(cache.clear())
    await turns()
    await alive.poll()
    assert alive.epoch == cache.epoch
    clock.now += 1.5  # the last moment of the dead one's lease
    await knock(cache, "b")
    assert not clearing.done()
    clock.now += 0.001
    await knock(cache, "c")
    assert clearing.done()
    assert await clearing == 0


async def test_clear_ends_with_the_last_lease_even_if_nobody_comes() -> None:
    cache = SharedCache(LruTtlCache(10, LARGE, 0), lease_s=0.05)
    started = time.monotonic()
    await Client("dead", cache).poll()
    await cache.clear()
    assert time.monotonic() - started >= 0.05


async def test_two_clears_at_once_do_not_wait_for_an_epoch_that_has_passed() -> None:
    cache = cache_of()
    client = await Client("a", cache).join()
    clears = [asyncio.get_running_loop().create_task(cache.clear()) for _ in range(2)]
    await turns()
    await client.hear()
    assert client.epoch == cache.epoch
    await client.poll()
    assert [clear.done() for clear in clears] == [True, True]


async def test_a_clear_and_stats_at_once_both_hear_the_clients() -> None:
    cache = cache_of()
    client = await Client("a", cache).join()
    clearing = asyncio.get_running_loop().create_task(cache.clear())
    await turns()
    telling = asyncio.get_running_loop().create_task(cache.stats(patience_s=60))
    await turns()
    await client.poll()
    assert (clearing.done(), telling.done()) == (True, True)
