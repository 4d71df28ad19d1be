"""Calls to a `SharedCache` in this process that can be slow, dead, or lose what is on it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

from app.cache.client import CacheClient
from app.cache.lru import LruTtlCache
from app.cache.shared import CacheStats, PollRequest, PollResponse, SharedCache
from tests.support.aio import Clock, turns, until

T = TypeVar("T")
K = [bytes([number]) * 16 for number in range(8)]
LARGE = 10**9


class Wire:
    """`held` names calls that wait for `release`, on their way there ("put") or back ("lookup back")."""

    def __init__(self, shared: SharedCache) -> None:
        self.shared = shared
        self.dead = False
        self.held: set[str] = set()
        self.calls: list[str] = []
        self.abandoned: list[str] = []
        self.puts: list[list[bytes]] = []
        self.asked: list[list[bytes]] = []
        self.polls: list[PollRequest] = []
        self._held: dict[str, list[asyncio.Event]] = {}
        self._open: set[asyncio.Task[object]] = set()

    def count(self, name: str) -> int:
        return self.calls.count(name)

    async def lookup(self, keys: Sequence[bytes]) -> tuple[str, list[tuple[bytes, float | None] | None]]:
        async def call() -> tuple[str, list[tuple[bytes, float | None] | None]]:
            return self.shared.lookup(keys)

        self.asked.append(list(keys))
        return await self._carry("lookup", call)

    async def put(self, client: str, epoch: str, entries: Sequence[tuple[bytes, bytes]]) -> bool:
        async def call() -> bool:
            return self.shared.put(client, epoch, entries)

        self.puts.append([key for key, _ in entries])
        return await self._carry("put", call)

    async def poll(self, request: PollRequest) -> PollResponse:
        self.polls.append(request)
        return await self._carry("poll", lambda: self.shared.poll(request))

    async def clear(self) -> int:
        return await self._carry("clear", lambda: self.shared.clear())

    async def stats(self) -> CacheStats:
        return await self._carry("stats", lambda: self.shared.stats(patience_s=0))

    async def release(self, name: str) -> None:
        self.held.discard(name)
        for event in self._held.pop(name, []):
            event.set()
        await turns()

    async def drop(self) -> None:
        """Whatever is under way fails."""
        for task in list(self._open):
            task.cancel()
        await turns()

    async def _carry(self, name: str, call: Callable[[], Awaitable[T]]) -> T:
        self.calls.append(name)
        if self.dead:
            raise ConnectionError("dead")

        async def there_and_back() -> T:
            await self._pass(name)
            result = await call()
            await self._pass(f"{name} back")
            return result

        task: asyncio.Task[T] = asyncio.get_running_loop().create_task(there_and_back())
        self._open.add(task)
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            self.abandoned.append(name)
            raise
        finally:
            self._open.discard(task)
            task.cancel()
        if task.cancelled():
            raise ConnectionError("lost")
        return task.result()

    async def _pass(self, name: str) -> None:
        if name in self.held:
            event = asyncio.Event()
            self._held.setdefault(name, []).append(event)
            await event.wait()


def shared_of(clock: Clock | None = None, ttl_ms: int = 0) -> SharedCache:
    clock = clock or Clock()
    return SharedCache(LruTtlCache(100, LARGE, ttl_ms, clock), clock=clock)


def client_of(
    shared: SharedCache, name: str, *, near_entries: int = 100, near_bytes: int = LARGE, deadline_s: float = 5.0
) -> tuple[CacheClient, Wire]:
    wire = Wire(shared)
    near = LruTtlCache(near_entries, near_bytes, 0, shared.clock)
    client = CacheClient(wire, near, deadline_s, shared.lease_s, clock=shared.clock, client=name)
    client.write_behind.gather_s = client.write_behind.sole_gather_s = 0
    return client, wire


@asynccontextmanager
async def polling(*clients: CacheClient) -> AsyncIterator[None]:
    tasks = [asyncio.get_running_loop().create_task(client.run()) for client in clients]
    await until(lambda: all(client.reachable for client in clients))
    await turns()
    yield
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def answer_polls(shared: SharedCache) -> None:
    await shared.stats(patience_s=0)
    await turns()


async def store(client: CacheClient, *keys: bytes, value: bytes = b"v") -> None:
    found = await client.get_many(keys)
    client.put_many(found.epoch, [(key, value) for key in keys])
    await turns()


async def values(client: CacheClient, *keys: bytes) -> list[bytes | None]:
    found = await client.get_many(keys)
    await turns()
    return found.values
