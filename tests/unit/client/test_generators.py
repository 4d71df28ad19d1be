"""Generators as input: read as requests are sent, by both clients and every method; never mistaken for one item."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import numpy as np
import pytest

from embeddings_client import (
    AsyncEmbeddingClient,
    Chunking,
    EmbeddingClient,
    Search,
    Texts,
    average_embeddings,
    find_similar,
)
from embeddings_client.errors import InvalidItem, InvalidRequest, Unauthorized
from tests.support.talking import Caller, FakeService, both, error, uploaded, vector_of

WORDS = [f"word {i:{i % 17}}" for i in range(103)]
ROWS = np.random.default_rng(1).standard_normal((50, 4)).astype(np.float32)


def counted(items: list[Any], seen: list[Any]) -> Iterator[Any]:
    for item in items:
        seen.append(item)
        yield item


async def awaited(items: list[Any]) -> AsyncIterator[Any]:
    for item in items:
        await asyncio.sleep(0)
        yield item


@both
@pytest.mark.parametrize("of", [iter, lambda items: (item for item in items), lambda items: map(str, items)])
def test_texts(kind: str, of: Callable[[list[str]], Iterator[str]]) -> None:
    service = FakeService()
    rows = Caller(kind, service, chunking=Chunking(texts=10)).embed_texts(of(WORDS))
    np.testing.assert_array_equal(rows, [vector_of(word) for word in WORDS])
    assert service.sizes("texts") == [*[10] * 10, 3]


@both
def test_images_items_and_candidates(kind: str) -> None:
    service = FakeService()
    images = [bytes([65 + i]) * (i + 1) for i in range(7)]
    rows = Caller(kind, service, chunking=Chunking(images=3)).embed_images(iter(images))
    np.testing.assert_array_equal(rows, [vector_of(image) for image in images])
    assert sorted(len(uploaded(request)) for request in service.requests) == [1, 3, 3]
    items = ["text", "", b"bytes", {"text": "more"}]
    results = Caller(kind, FakeService()).embed_batch(iter(items))
    assert [result.vector is None for result in results] == [False, True, False, False]
    found = Caller(kind, FakeService(), chunking=Chunking(candidates=7)).search("abcd", iter(WORDS), top_k=4)
    assert found == Caller(kind, FakeService()).search("abcd", WORDS, top_k=4)
    assert Caller(kind, FakeService()).search("abcd", iter([])) == []


@both
def test_vectors(kind: str) -> None:
    found = Caller(kind, FakeService()).similarity(ROWS[7], iter(ROWS), top_k=5)
    assert found == Caller(kind, FakeService()).similarity(ROWS[7], ROWS, top_k=5)
    assert found == find_similar(ROWS[7], (row for row in ROWS)) == find_similar(ROWS[7], ROWS)
    np.testing.assert_array_equal(average_embeddings(iter(ROWS)), average_embeddings(ROWS))
    with pytest.raises(InvalidRequest, match="`candidates` must be"):
        Caller(kind, FakeService()).similarity(ROWS[7], iter([ROWS[0], ROWS[1, :2]]))


@both
def test_it_is_read_no_further_than_requests_are_sent(kind: str) -> None:
    """With two requests at once four are begun, and the client has made one more."""
    seen: list[str] = []
    ahead: list[int] = []
    answered = 0
    inner = FakeService()

    def service(request: httpx.Request) -> httpx.Response:
        nonlocal answered
        response = inner(request)
        ahead.append(len(seen) - answered)
        answered += 1
        return response

    chunking = Chunking(texts=1)
    rows = Caller(kind, service, concurrency=1, chunking=chunking).embed_texts(counted(WORDS, seen))
    np.testing.assert_array_equal(rows, [vector_of(word) for word in WORDS])
    # Two begun, one made, and the item that told that one's end.
    assert max(ahead) <= 2 + 1 + 1
    seen.clear()
    refused = FakeService(*[error(401, "unauthorized", "words")] * 1000)
    with pytest.raises(Unauthorized):
        Caller(kind, refused, concurrency=1, chunking=chunking).embed_texts(counted(WORDS, seen))
    assert len(seen) <= 2 + 1 + 1


@both
def test_its_own_error_is_the_callers(kind: str) -> None:
    def broken() -> Iterator[str]:
        yield from WORDS[:5]
        raise ZeroDivisionError("theirs")

    with pytest.raises(ZeroDivisionError, match="theirs"):
        Caller(kind, FakeService(), chunking=Chunking(texts=2)).embed_texts(broken())
    with pytest.raises(InvalidItem, match=r"`texts\.103` must be a string, not int"):
        Caller(kind, FakeService(), chunking=Chunking(texts=10)).embed_texts(iter([*WORDS, 7]))


@both
def test_a_smaller_service_gets_smaller_requests(kind: str) -> None:
    rows = Caller(kind, FakeService(limit=7), chunking=Chunking(texts=50)).embed_texts(iter(WORDS))
    np.testing.assert_array_equal(rows, [vector_of(word) for word in WORDS])


@both
def test_progress_without_an_end(
    kind: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[int] = []
    Caller(kind, FakeService(), chunking=Chunking(texts=50)).run(Texts(iter(WORDS)), told.append)
    assert told == [50, 50, 3]
    monkeypatch.setattr("embeddings_client.progress.bar.__wrapped__.__defaults__", (0.0,))
    Caller(kind, FakeService(), progress=True, chunking=Chunking(texts=50)).embed_texts(iter(WORDS))
    assert "103 texts [" in capsys.readouterr().err


async def test_asynchronous_generators() -> None:
    async with AsyncEmbeddingClient(transport=httpx.MockTransport(FakeService())) as client:
        rows = await client.embed_texts(awaited(WORDS))
        np.testing.assert_array_equal(rows, [vector_of(word) for word in WORDS])
        assert (await client.embed_images(awaited([b"a", b"bc"]))).tolist() == [[1, 97, 1], [2, 98, 1]]
        [one, other] = await client.embed_batch(awaited(["a", ""]))
        assert (one.vector is None, other.vector is None) == (False, True)
        assert await client.search("abcd", awaited(WORDS)) == await client.search("abcd", WORDS)
        with pytest.raises(InvalidRequest, match="`texts` must not be empty"):
            await client.embed_texts(awaited([]))


def test_asynchronous_generators_have_their_client() -> None:
    with EmbeddingClient(transport=httpx.MockTransport(FakeService())) as client:
        calls: list[tuple[str, Callable[[], Any]]] = [
            ("texts", lambda: client.embed_texts(awaited(WORDS))),  # type: ignore[arg-type]
            ("candidates", lambda: client.search("a", awaited(WORDS))),  # type: ignore[arg-type]
            ("items", lambda: client.embed_batch(awaited(WORDS))),  # type: ignore[arg-type]
            ("candidates", lambda: Search("a", awaited(WORDS))),  # type: ignore[arg-type]
        ]
        for field, call in calls:
            with pytest.raises(InvalidRequest, match="AsyncEmbeddingClient take") as raised:
                call()
            assert raised.value.param == field
