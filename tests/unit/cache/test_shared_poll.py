"""What the clients of `app.cache.shared` tell it and hear from it: writers, touched keys, counts."""

import asyncio

import pytest

from app.cache import shared
from app.cache.lru import ENTRY_OVERHEAD
from app.cache.shared import CacheStats, Counts, PollResponse
from loadtests.cache_walk import keys_of
from tests.support.aio import Clock, turns
from tests.support.polling import LARGE, Client, K, cache_of


@pytest.fixture(autouse=True)
def polls_park_until_something_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared, "PARK_S", 60.0)


async def test_a_new_writer_wakes_the_others() -> None:
    cache = cache_of()
    a, b = await Client("a", cache).join(), await Client("b", cache).join()
    cache.put("a", cache.epoch, [(K[0], b"v")])
    await turns()
    assert (await a.poll(), await b.poll()) == (None, None)
    assert [client.answers[-1].sole_writer for client in (a, b)] == [True, False]
    cache.put("a", cache.epoch, [(K[1], b"v")])  # nothing changes
    await turns()
    assert (a.parked, b.parked) == (True, True)
    cache.put("b", cache.epoch, [(K[2], b"v")])
    await turns()
    await a.hear()
    assert a.answers[-1].sole_writer is False
    newcomer = Client("c", cache)
    assert await newcomer.poll() == PollResponse(cache.epoch, sole_writer=False, sole_client=False)


async def test_the_sole_client_hears_of_another_at_once_and_of_its_end() -> None:
    clock = Clock()
    cache = cache_of(clock)
    first = await Client("a", cache).join()
    assert first.answers[-1] == PollResponse(cache.epoch, sole_writer=True, sole_client=True)
    newcomer = Client("b", cache)
    assert await newcomer.poll() == PollResponse(cache.epoch, sole_writer=True, sole_client=False)
    assert await first.hear() == PollResponse(cache.epoch, sole_writer=True, sole_client=False)
    clock.now += cache.lease_s
    assert await first.poll() is None  # its lease just lasts
    clock.now += 0.001
    cache.put("a", cache.epoch, [(K[0], b"v")])  # ends the parked poll
    await turns()
    assert await first.hear() == PollResponse(cache.epoch, sole_writer=True, sole_client=True)
    assert await first.poll() is None
    # It was away for so long that it was not counted any more.
    assert await newcomer.poll() == PollResponse(cache.epoch, sole_writer=False, sole_client=False)
    assert await first.hear() == PollResponse(cache.epoch, sole_writer=True, sole_client=False)


async def test_a_change_between_two_polls_is_not_lost() -> None:
    cache = cache_of()
    client = Client("a", cache)
    assert await client.poll() == PollResponse(cache.epoch, sole_writer=True, sole_client=True)
    cache.put("b", cache.epoch, [(K[0], b"v")])  # while the first answer is on its way
    assert await client.poll() == PollResponse(cache.epoch, sole_writer=False, sole_client=True)
    assert await client.poll() is None


async def test_after_a_clear_every_client_is_a_sole_writer_again() -> None:
    cache = cache_of()
    for name in "ab":
        cache.put(name, cache.epoch, [(K[0], b"v")])
    client = Client("a", cache)
    assert await client.poll() == PollResponse(cache.epoch, sole_writer=False, sole_client=True)
    clearing = asyncio.get_running_loop().create_task(cache.clear())
    await turns()
    assert await client.poll() == PollResponse(cache.epoch, sole_writer=True, sole_client=True)
    await client.poll()
    await clearing


async def test_touched_keys_are_used_keys() -> None:
    cache = cache_of(max_entries=3)
    cache.put("a", cache.epoch, [(key, b"v") for key in K[:3]])
    await Client("a", cache).poll([K[0], K[7]])
    cache.put("a", cache.epoch, [(K[3], b"v")])
    assert keys_of(cache.store) == [K[2], K[0], K[3]]


async def test_stats_collect_what_every_client_counted_up_to_now() -> None:
    cache = cache_of(max_entries=2)
    cache.put("a", cache.epoch, [(key, b"1234") for key in K[:3]])
    a, b = await Client("a", cache).join(), await Client("b", cache).join()
    a.counts, b.counts = Counts(hits=3, near_hits=2), Counts(hits=4, near_hits=1)
    telling = asyncio.get_running_loop().create_task(cache.stats(patience_s=60))
    await turns()
    await a.poll()
    assert not telling.done()
    await b.poll()
    size = 2 * (16 + 4 + ENTRY_OVERHEAD)
    assert await telling == CacheStats(
        size=2, max_size=2, bytes=size, max_bytes=LARGE, hits=7, near_hits=3, misses=0,
        evictions=1, expirations=0, clients=2,
    )  # fmt: skip


async def test_stats_do_not_wait_for_the_silent_nor_forget_the_expired() -> None:
    clock = Clock()
    cache = cache_of(clock)
    silent = Client("silent", cache)
    silent.counts = Counts(hits=5, near_hits=4)
    await silent.poll()
    stats = await cache.stats(patience_s=0.01)
    assert (stats.hits, stats.near_hits, stats.clients) == (5, 4, 1)
    for _ in range(2):
        clock.now += 3601
        stats = await cache.stats()
        assert (stats.hits, stats.near_hits, stats.clients) == (5, 4, 0)


def test_hit_rate() -> None:
    figures = [CacheStats(0, 0, 0, 0, hits, 0, misses, 0, 0, 0).hit_rate for hits, misses in ((0, 0), (1, 3), (2, 0))]
    assert figures == [0.0, 0.25, 1.0]
