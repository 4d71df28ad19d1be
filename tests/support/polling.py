"""A client of `app.cache.shared` that polls when a test tells it to."""

import asyncio
from collections.abc import Sequence

from app.cache.lru import LruTtlCache
from app.cache.shared import Counts, PollRequest, PollResponse, SharedCache
from tests.support.aio import Clock, turns

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
        self.answers: list[PollResponse] = []
        self._polling: asyncio.Task[PollResponse] | None = None

    @property
    def parked(self) -> bool:
        return self._polling is not None and not self._polling.done()

    async def poll(self, touched: Sequence[bytes] = ()) -> PollResponse | None:
        """Take an answered poll, start the next; its response unless it parks."""
        await self.hear()
        request = PollRequest(self.name, self.epoch, Counts(self.counts.hits, self.counts.near_hits, 0), touched)
        self._polling = asyncio.get_running_loop().create_task(self.cache.poll(request))
        await turns()
        return await self.hear()

    async def hear(self) -> PollResponse | None:
        if self._polling is None or not self._polling.done():
            return None
        response, self._polling = await self._polling, None
        self.epoch = response.epoch
        self.answers.append(response)
        return response

    async def join(self) -> "Client":
        assert await self.poll() is not None
        assert await self.poll() is None
        return self


async def knock(cache: SharedCache, name: str) -> None:
    """Somebody new comes, who holds nothing old."""
    await cache.poll(PollRequest(name, cache.epoch, Counts()))
    await turns()
