"""The Python client against the application itself, over fakes: keys, quotas and the forms of answers."""

import asyncio
from typing import Any

import httpx
import numpy as np
import pytest

from app.client import AsyncEmbeddingClient, Chunking, Texts
from app.errors import Forbidden, InvalidRequest, ServiceError, TooManyRequests, Unauthorized
from tests.support.calling import Service
from tests.support.keys import ALL, ONE, UNKNOWN, guard_of
from tests.support.service_fakes import MODEL


class Client(AsyncEmbeddingClient):
    """`pauses`: seconds that it would have waited."""

    pauses: list[float]

    async def _pause(self, seconds: float) -> None:
        self.pauses.append(seconds)


def ask(service: Service, method: str, *args: Any, **options: Any) -> tuple[Any, list[float]]:
    """What a client's method returns or raises, and its pauses."""
    settings = {name: options.pop(name) for name in ("api_key", "chunking") if name in options}

    async def call() -> Any:
        transport = httpx.ASGITransport(service._app)  # noqa: SLF001 - as `Service` does
        async with Client("http://service", transport=transport, **settings) as client:
            client.pauses = pauses
            try:
                return await getattr(client, method)(*args, **options)
            except ServiceError as error:
                return error

    pauses: list[float] = []
    return asyncio.run(call()), pauses


def test_texts_with_their_metadata() -> None:
    found, _ = ask(Service(), "run", Texts(["abc", "a b c d e f g h i j", "x"], normalize=False))
    np.testing.assert_array_equal(found.vectors, [[3, 4, 0], [19, 4, 0], [1, 4, 0]])
    assert (found.model, found.dimensions, found.tokens, found.truncated) == (MODEL, 3, 10, (1,))
    assert found.space == f"{MODEL}@print of makers/"


def test_more_texts_than_the_service_takes() -> None:
    texts = ["x" * (i % 30 + 1) for i in range(100)]
    service = Service(texts=9)
    found, _ = ask(service, "embed_texts", texts, normalize=False, chunking=Chunking(texts=64))
    np.testing.assert_array_equal(found[:, 0], [len(text) for text in texts])


def test_bytes_of_a_body_that_are_too_many_are_halved() -> None:
    texts = [f"{i:03}" + "x" * 200 for i in range(50)]
    found, _ = ask(Service(text_body=2000), "embed_texts", texts, normalize=False)
    np.testing.assert_array_equal(found[:, 0], [203] * 50)


def test_ranking() -> None:
    found, _ = ask(Service(), "search", "abc", ["a" * 90, "xyz"], top_k=1)
    assert found == [(1, 1.0)]
    found, _ = ask(Service(), "similarity", [1, 0], [[0, 1], [1, 0], [0.6, 0.8]], metric="euclidean", threshold=1.0)
    assert [hit.index for hit in found] == [1, 2]
    error, _ = ask(Service(), "similarity", [1, 0], [[1, 0], [np.nan, 0]])
    assert (type(error), error.param) == (InvalidRequest, "candidates.1")


@pytest.mark.parametrize(
    ("key", "raised"),
    [(None, Unauthorized), (UNKNOWN, Unauthorized), (ONE["read"], Forbidden), (ONE["embed"], None)],
    ids=["none", "unknown", "read", "embed"],
)
def test_keys(key: str | None, raised: type[Exception] | None) -> None:
    found, pauses = ask(Service(authenticator=guard_of()), "embed_texts", ["abc"], api_key=key)
    assert pauses == []
    if raised is None:
        assert found.shape == (1, 3)
    else:
        assert type(found) is raised
        assert found.request_id  # type: ignore[attr-defined]


def test_a_quota_is_waited_for_as_long_as_it_asks() -> None:
    service = Service(authenticator=guard_of(requests_per_minute=1))
    assert ask(service, "embed_texts", ["abc"], api_key=ALL)[0].shape == (1, 3)
    error, pauses = ask(service, "embed_texts", ["abc"], api_key=ALL)
    assert (type(error), error.status) == (TooManyRequests, 429)
    assert error.retry_after > 0
    # The clock of the quota stands still here; nor does the client wait beyond its deadline.
    assert all(error.retry_after <= pause <= 1.1 * error.retry_after for pause in pauses)
    assert len(pauses) >= 1
