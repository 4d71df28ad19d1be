import asyncio
import time
from collections.abc import Sequence

import pytest

from app import shared_cache
from app.cache import ENTRY_OVERHEAD, LruTtlCache
from app.shared_cache import CacheStats, Counts, Report, SharedCache, Word
from tests.aio import Clock, run, turns

K = [bytes([number]) * 16 for number in range(8)]
LARGE = 10**9


def cache_of(clock: Clock | None = None, max_entries: int = 100, ttl_ms: int = 0) -> SharedCache:
    clock = clock or Clock()
    return SharedCache(LruTtlCache(max_entries, LARGE, ttl_ms, clock), lease_s=2.0, clock=clock)


class Client:
    """Polls as an ingress does, one poll at a time, when told to."""

    def __init__(self, name: str, cache: SharedCache) -> None:
        self.name = name
        self.cache = cache
        self.epoch: str | None = None
        self.counts = Counts()
        self.words: list[Word] = []
        self._polling: asyncio.Task[Word] | None = None

    @property
    def parked(self) -> bool:
        return self._polling is not None and not self._polling.done()

    async def poll(self, touched: Sequence[bytes] = ()) -> Word | None:
        """Take home an answered poll, start the next; what it says unless it parks."""
        await self.hear()
        report = Report(self.name, self.epoch, Counts(self.counts.hits, self.counts.near_hits, 0), touched)
        self._polling = asyncio.get_running_loop().create_task(self.cache.poll(report))
        await turns()
        return await self.hear()

    async def hear(self) -> Word | None:
        if self._polling is None or not self._polling.done():
            return None
        word, self._polling = await self._polling, None
        self.epoch = word.epoch
        self.words.append(word)
        return word

    async def join(self) -> "Client":
        assert await self.poll() is not None
        assert await self.poll() is None
        return self


@pytest.fixture(autouse=True)
def polls_park_until_news(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_cache, "PARK_S", 60.0)


async def knock(cache: SharedCache, name: str) -> None:
    """Somebody new comes, who holds nothing old."""
    await cache.poll(Report(name, cache.epoch, Counts()))
    await turns()


def test_entries_come_back_with_the_epoch_and_their_life() -> None:
    clock = Clock()
    cache = cache_of(clock, ttl_ms=5000)
    assert cache.put("a", cache.epoch, [(K[0], b"zero"), (K[1], b"one")])
    clock.now += 2
    assert cache.lookup([K[1], K[2], K[0]]) == (cache.epoch, [(b"one", 3.0), None, (b"zero", 3.0)])
    clock.now += 3
    assert cache.lookup([K[1]]) == (cache.epoch, [None])


def test_entries_of_another_epoch_are_refused() -> None:
    async def main() -> None:
        cache = cache_of()
        before = cache.epoch
        assert cache.put("a", before, [(K[0], b"v")]) is True
        assert await cache.clear() == 1
        assert cache.epoch != before
        assert cache.put("a", before, [(K[0], b"v")]) is False
        assert cache.lookup([K[0]]) == (cache.epoch, [None])

    run(main())


def test_no_two_caches_and_no_two_clears_share_an_epoch() -> None:
    async def main() -> None:
        caches = [cache_of() for _ in range(5)]
        epochs = [cache.epoch for cache in caches]
        for cache in caches:
            for _ in range(5):
                await cache.clear()
                epochs.append(cache.epoch)
        assert len(set(epochs)) == 30

    run(main())


def test_the_first_poll_is_answered_at_once_and_the_next_parks_until_news() -> None:
    async def main() -> None:
        cache = cache_of()
        client = Client("a", cache)
        assert await client.poll() == Word(cache.epoch, alone=True)
        assert await client.poll() is None
        assert client.parked
        clearing = asyncio.get_running_loop().create_task(cache.clear())
        await turns()
        assert await client.hear() == Word(cache.epoch, alone=True)
        await client.poll()
        await clearing

    run(main())


def test_a_poll_returns_without_news_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_cache, "PARK_S", 0.0)

    async def main() -> None:
        cache = cache_of()
        client = Client("a", cache)
        await client.poll()
        assert await client.poll() == Word(cache.epoch, alone=True)

    run(main())


def test_a_client_of_another_epoch_does_not_park() -> None:
    async def main() -> None:
        cache = cache_of()
        client = Client("a", cache)
        await client.poll()
        client.epoch = "an older cache's"
        assert await client.poll() == Word(cache.epoch, alone=True)

    run(main())


def test_clear_without_clients_returns_at_once() -> None:
    async def main() -> None:
        cache = cache_of()
        cache.put("a", cache.epoch, [(K[0], b"v"), (K[1], b"v")])
        assert [await cache.clear(), await cache.clear()] == [2, 0]

    run(main())


def test_clear_waits_until_every_parked_client_is_back_with_the_new_epoch() -> None:
    async def main() -> None:
        cache = cache_of()
        clients = [await Client(name, cache).join() for name in "abc"]
        cache.put("a", cache.epoch, [(key, b"v") for key in K])
        for client in clients:
            await client.poll()
        clearing = asyncio.get_running_loop().create_task(cache.clear())
        await turns()
        assert cache.lookup(K)[1] == [None] * 8
        for client in clients:
            assert (clearing.done(), client.parked) == (False, False)
            await client.poll()
            assert client.epoch == cache.epoch
        assert await clearing == 8

    run(main())


def test_clear_waits_for_the_lease_of_a_dead_client() -> None:
    async def main() -> None:
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

    run(main())


def test_clear_ends_with_the_last_lease_even_if_nobody_comes() -> None:
    async def main() -> None:
        cache = SharedCache(LruTtlCache(10, LARGE, 0), lease_s=0.05)
        started = time.monotonic()
        await Client("dead", cache).poll()
        await cache.clear()
        assert 0.05 <= time.monotonic() - started < 1

    run(main())


def test_two_clears_at_once_do_not_wait_for_an_epoch_that_has_passed() -> None:
    async def main() -> None:
        cache = cache_of()
        client = await Client("a", cache).join()
        clears = [asyncio.get_running_loop().create_task(cache.clear()) for _ in range(2)]
        await turns()
        await client.hear()
        assert client.epoch == cache.epoch
        await client.poll()
        assert [clear.done() for clear in clears] == [True, True]

    run(main())


def test_a_clear_and_stats_at_once_both_hear_the_clients() -> None:
    async def main() -> None:
        cache = cache_of()
        client = await Client("a", cache).join()
        clearing = asyncio.get_running_loop().create_task(cache.clear())
        await turns()
        telling = asyncio.get_running_loop().create_task(cache.stats(patience_s=60))
        await turns()
        await client.poll()
        assert (clearing.done(), telling.done()) == (True, True)

    run(main())


def test_a_new_writer_wakes_the_others() -> None:
    async def main() -> None:
        cache = cache_of()
        a, b = await Client("a", cache).join(), await Client("b", cache).join()
        cache.put("a", cache.epoch, [(K[0], b"v")])
        await turns()
        assert (await a.poll(), await b.poll()) == (None, None)
        assert [client.words[-1].alone for client in (a, b)] == [True, False]
        cache.put("a", cache.epoch, [(K[1], b"v")])  # no news
        await turns()
        assert (a.parked, b.parked) == (True, True)
        cache.put("b", cache.epoch, [(K[2], b"v")])
        await turns()
        await a.hear()
        assert a.words[-1].alone is False
        newcomer = Client("c", cache)
        assert await newcomer.poll() == Word(cache.epoch, alone=False)

    run(main())


def test_news_between_two_polls_is_not_lost() -> None:
    async def main() -> None:
        cache = cache_of()
        client = Client("a", cache)
        assert await client.poll() == Word(cache.epoch, alone=True)
        cache.put("b", cache.epoch, [(K[0], b"v")])  # while the first answer is on its way
        assert await client.poll() == Word(cache.epoch, alone=False)
        assert await client.poll() is None

    run(main())


def test_after_a_clear_everybody_is_alone_again() -> None:
    async def main() -> None:
        cache = cache_of()
        for name in "ab":
            cache.put(name, cache.epoch, [(K[0], b"v")])
        client = Client("a", cache)
        assert await client.poll() == Word(cache.epoch, alone=False)
        clearing = asyncio.get_running_loop().create_task(cache.clear())
        await turns()
        assert await client.poll() == Word(cache.epoch, alone=True)
        await client.poll()
        await clearing

    run(main())


def test_touched_keys_are_used_keys() -> None:
    async def main() -> None:
        cache = cache_of(max_entries=3)
        cache.put("a", cache.epoch, [(key, b"v") for key in K[:3]])
        await Client("a", cache).poll([K[0], K[7]])
        cache.put("a", cache.epoch, [(K[3], b"v")])
        assert cache.store.keys() == [K[2], K[0], K[3]]

    run(main())


def test_stats_collect_what_every_client_counted_up_to_now() -> None:
    async def main() -> None:
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

    run(main())


def test_stats_do_not_wait_for_the_silent_nor_forget_the_departed() -> None:
    async def main() -> None:
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

    run(main())


def test_hit_rate() -> None:
    figures = [CacheStats(0, 0, 0, 0, hits, 0, misses, 0, 0, 0).hit_rate for hits, misses in ((0, 0), (1, 3), (2, 0))]
    assert figures == [0.0, 0.25, 1.0]
