"""`app.cache.client`: what is stored goes together, and how long it waits for that."""

import pytest

from app.cache import shared as shared_cache
from tests.support.aio import run, until
from tests.support.cache_transport import K, client_of, polling, shared_of, store, values


@pytest.fixture(autouse=True)
def polls_park_until_news(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_cache, "PARK_S", 60.0)


def test_what_comes_while_a_put_is_under_way_goes_together() -> None:
    async def main() -> None:
        shared = shared_of()
        client, wire = client_of(shared, "a")
        async with polling(client):
            wire.held.add("put")
            for key in K[:4]:
                await store(client, key)
            assert wire.puts == [[K[0]]]
            await wire.release("put")
            assert wire.puts == [[K[0]], K[1:4]]
            assert shared.store.keys() == K[:4]

    run(main())


def test_who_is_the_only_one_gathers_until_somebody_comes_or_asks_for_figures() -> None:
    async def main() -> None:
        shared = shared_of()
        client, wire = client_of(shared, "a")
        client.sole_gather_s = 3600
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

    run(main())


def test_what_the_near_cache_could_not_keep_is_not_gathered_for_long() -> None:
    async def main() -> None:
        shared = shared_of()
        client, _ = client_of(shared, "a", near_bytes=0)
        client.sole_gather_s = 3600
        async with polling(client):
            for key in K[:3]:
                await store(client, key)
            await until(lambda: len(shared.store.keys()) == 3)
            assert await values(client, *K[:3]) == [b"v"] * 3

    run(main())


def test_what_comes_soon_after_a_put_goes_together() -> None:
    async def main() -> None:
        shared = shared_of()
        client, wire = client_of(shared, "a")
        client.gather_s = 3600
        async with polling(client):
            for key in K[:4]:
                await store(client, key)
            assert wire.puts == [[K[0]]]  # the first did not wait
        client, wire = client_of(shared, "b")
        client.gather_s = 0.001
        async with polling(client):
            for key in K[4:8]:
                await store(client, key)
            await until(lambda: len(shared.store.keys()) == 5)
            assert [key for put in wire.puts for key in put] == K[4:8]

    run(main())
