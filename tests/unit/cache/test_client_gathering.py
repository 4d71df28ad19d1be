"""`app.cache.client`: what is stored goes together, and how long it waits for that."""

import asyncio
from collections.abc import Sequence
from contextvars import ContextVar

import pytest

from app.cache import shared as shared_cache
from app.cache.write_behind import WriteBehind
from loadtests.cache_walk import keys_of
from tests.support.aio import turns, until
from tests.support.cache_transport import K, Wire, client_of, polling, shared_of, store, values


@pytest.fixture(autouse=True)
def polls_park_until_something_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_cache, "PARK_S", 60.0)


async def test_what_comes_while_a_put_is_under_way_goes_together() -> None:
    shared = shared_of()
    client, wire = client_of(shared, "a")
    async with polling(client):
        wire.held.add("put")
        for key in K[:4]:
            await store(client, key)
        assert wire.puts == [[K[0]]]
        await wire.release("put")
        assert wire.puts == [[K[0]], K[1:4]]
        assert keys_of(shared.store) == K[:4]


async def test_the_sole_client_gathers_until_another_comes_or_asks_for_statistics() -> None:
    shared = shared_of()
    client, wire = client_of(shared, "a")
    client.write_behind.sole_gather_s = 3600
    async with polling(client):
        for key in K[:4]:
            await store(client, key)
        assert wire.puts == [K[:1]]  # the first did not wait
        assert (await client.stats()).size == 4
        for key in K[4:6]:
            await store(client, key)
        assert wire.puts == [K[:1], K[1:4]]
        other, _ = client_of(shared, "b")
        async with polling(other):
            await until(lambda: len(wire.puts) == 3)
            assert await values(other, *K[:6]) == [b"v"] * 6
            await store(client, K[6])
            assert wire.puts[2:] == [K[4:6], K[6:7]]


async def test_a_flush_returns_once_its_call_has_begun() -> None:
    puts: list[list[bytes]] = []

    async def put(epoch: str, entries: Sequence[tuple[bytes, bytes]]) -> None:
        puts.append([key for key, _ in entries])

    gathering = WriteBehind(put, sole_gather_s=3600)
    gathering.add("epoch", K[0], b"v")
    await turns()
    gathering.add("epoch", K[1], b"v")
    await gathering.flush()
    assert puts == [K[:1], K[1:2]]


async def test_what_the_near_cache_could_not_keep_is_not_gathered_for_long() -> None:
    shared = shared_of()
    client, _ = client_of(shared, "a", near_bytes=0)
    client.write_behind.sole_gather_s = 3600
    async with polling(client):
        for key in K[:3]:
            await store(client, key)
        await until(lambda: len(keys_of(shared.store)) == 3)
        assert await values(client, *K[:3]) == [b"v"] * 3


async def test_what_comes_soon_after_a_put_goes_together() -> None:
    shared = shared_of()
    client, wire = client_of(shared, "a")
    client.write_behind.gather_s = 3600
    async with polling(client):
        for key in K[:4]:
            await store(client, key)
        assert wire.puts == [[K[0]]]  # the first did not wait
    client, wire = client_of(shared, "b")
    client.write_behind.gather_s = 0.001
    async with polling(client):
        for key in K[4:8]:
            await store(client, key)
        await until(lambda: len(keys_of(shared.store)) == 5)
        assert [key for put in wire.puts for key in put] == K[4:8]


async def test_what_cancels_one_request_does_not_end_the_put_of_another() -> None:
    """Ray Serve cancels the calls that were made in a request's context."""
    request: ContextVar[str | None] = ContextVar("request", default=None)
    calls: dict[str | None, list[asyncio.Task[bool]]] = {}

    class ServedWire(Wire):
        async def put(self, client: str, epoch: str, entries: Sequence[tuple[bytes, bytes]]) -> bool:
            call = asyncio.create_task(super().put(client, epoch, entries))
            calls.setdefault(request.get(), []).append(call)
            return await call

    shared = shared_of()
    client, _ = client_of(shared, "a")
    client.transport = wire = ServedWire(shared)

    async def serve(name: str, key: bytes) -> None:
        request.set(name)
        await store(client, key)

    async with polling(client):
        wire.held.add("put")
        for name, key in zip("ab", K[:2], strict=True):
            await asyncio.create_task(serve(name, key))
        for call in calls.get("a", []):
            call.cancel()
        await turns()
        await wire.release("put")
        assert keys_of(shared.store) == K[:2]
        assert list(calls) == [None]
