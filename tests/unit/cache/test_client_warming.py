"""`CacheClient.warm`: entries that nobody looked up."""

import asyncio

import pytest

from app.errors import CacheUnavailable
from tests.support.aio import turns
from tests.support.cache_transport import K, client_of, polling, shared_of, values


async def test_warm_entries_are_hits_here_and_there() -> None:
    shared = shared_of()
    (a, near), (b, wire) = client_of(shared, "a"), client_of(shared, "b")
    async with polling(a, b):
        await a.warm([(K[0], b"zero"), (K[1], b"one")])
        assert len(shared.store) == 2
        assert await values(a, K[0], K[1]) == [b"zero", b"one"]
        assert near.count("lookup") == 0
        assert await values(b, K[1]) == [b"one"]
        assert wire.count("lookup") == 1


async def test_what_is_too_large_to_be_near_is_still_found() -> None:
    shared = shared_of()
    client, wire = client_of(shared, "a", near_bytes=20)
    async with polling(client):
        await client.warm([(K[0], b"x" * 100)])
        assert await values(client, K[0]) == [b"x" * 100]
        assert wire.count("lookup") == 1


async def test_out_of_reach_is_an_error() -> None:
    client, wire = client_of(shared_of(), "a")
    with pytest.raises(CacheUnavailable, match="begun anew"):
        await client.warm([(K[0], b"before the first poll")])
    async with polling(client):
        wire.dead = True
        with pytest.raises(CacheUnavailable, match="can't be reached"):
            await client.warm([(K[0], b"v")])
        assert len(client.near) == 0


async def test_a_clear_meanwhile_wins() -> None:
    shared = shared_of()
    client, wire = client_of(shared, "a")
    async with polling(client):
        wire.held.add("poll back")
        clearing = asyncio.get_running_loop().create_task(shared.clear())
        await turns()
        with pytest.raises(CacheUnavailable, match="begun anew"):
            await client.warm([(K[0], b"v")])
        assert (len(shared.store), len(client.near)) == (0, 0)
        await wire.release("poll back")
        await clearing
