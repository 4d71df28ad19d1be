"""What both clients do alike: order, chunks, retries, errors. Over a fake transport; `tests/cluster` has real HTTP."""

import sys
import threading
import warnings
from types import ModuleType
from typing import Any

import httpx
import numpy as np
import pytest

from app.schemas.embeddings import TextRequest
from embeddings_client import (
    AsyncEmbeddingClient,
    Chunking,
    EmbeddingClient,
    Retry,
    Search,
    Texts,
    TimedOut,
    TruncationWarning,
    Unreachable,
    UnreadableAnswer,
)
from embeddings_client.errors import (
    InvalidItem,
    InvalidRequest,
    ModelNotFound,
    Overloaded,
    PayloadTooLarge,
    SpaceMismatch,
    Unauthorized,
    Unavailable,
)
from tests.support.aio import Clock
from tests.support.talking import SPACE, Caller, FakeService, Outcome, both, error, matrix, vector_of

WORDS = [f"word {'x' * (i % 17)}{i}" for i in range(103)]


@both
def test_texts_in_order_whatever_the_chunks(kind: str) -> None:
    service = FakeService()
    rows = Caller(kind, service, chunking=Chunking(texts=10)).embed_texts(WORDS)
    assert (rows.shape, rows.dtype) == ((103, 3), np.float32)
    np.testing.assert_array_equal(rows, [vector_of(word) for word in WORDS])
    assert service.sizes("texts") == [*[10] * 10, 3]


@both
def test_embeddings_metadata(kind: str) -> None:
    texts = ["a", "b" * 60, "c", "d" * 70, "e" * 80]
    found = Caller(kind, FakeService(), chunking=Chunking(texts=2)).run(Texts(texts))
    assert (found.model, found.space, found.dimensions) == ("makers/small", SPACE, 3)
    assert (found.tokens, found.cache_hits, found.truncated, found.note) == (10, 3, (1, 3, 4), None)


@both
def test_requests_sent(kind: str) -> None:
    service = FakeService()
    caller = Caller(kind, service, base_url="http://here:1/prefix/", api_key="key-1")
    with pytest.raises(Exception, match="nothing at /prefix/embed/text"):
        caller.embed_texts(["ä", "b"], model="small", normalize=False, output_type="int8", input_type="query")
    [request] = service.requests
    assert (request.method, str(request.url)) == ("POST", "http://here:1/prefix/embed/text")
    assert request.headers["authorization"] == "Bearer key-1"
    assert request.headers["accept"] == "application/x-npy"
    asked = TextRequest.model_validate_json(request.content)
    assert asked == TextRequest(
        texts=["ä", "b"], model="small", normalize=False, output_type="int8", input_type="query"
    )
    service = FakeService()
    Caller(kind, service).embed_texts(["a"])
    assert service.body(service.requests[0]) == {"texts": ["a"]}
    assert "authorization" not in service.requests[0].headers


@both
def test_connection_errors_and_full_queues_pass(kind: str) -> None:
    script: list[Outcome] = [
        httpx.ConnectError("refused"),
        error(429, "overloaded", "full", retry_after="3"),
        httpx.RemoteProtocolError("Server disconnected"),
        httpx.Response(502, content=b"<html>bad gateway</html>"),
        error(503, "model_unavailable", "loading", "model"),
    ]
    service = FakeService(*script)
    caller = Caller(kind, service, retry=Retry(first_s=0.25))
    np.testing.assert_array_equal(caller.embed_texts(["abc"]), [vector_of("abc")])
    assert caller.pauses == [0.25, 3 * 1.1, 1.0, 2.0, 4.0]
    assert len({request.content for request in service.requests}) == 1


@both
@pytest.mark.parametrize(
    ("outcome", "raised", "requests"),
    [
        (httpx.ConnectError("refused"), Unreachable, 3),
        (error(503, "unavailable", "words"), Unavailable, 3),
        (error(429, "overloaded", "words", retry_after="1"), Overloaded, 3),
        (httpx.ReadTimeout("slow"), TimedOut, 1),
        (error(401, "unauthorized", "words"), Unauthorized, 1),
        (error(404, "model_not_found", "words", "model"), ModelNotFound, 1),
        (error(503, "request_rejected", "words"), Unavailable, 1),
        (httpx.Response(200, content=b"<html>welcome</html>"), UnreadableAnswer, 1),
        (httpx.Response(200, json={"embeddings": [[1, 2]]}), UnreadableAnswer, 1),
        (matrix(np.ones((2, 3), np.float32)), UnreadableAnswer, 1),
        (matrix(np.ones(3, np.float32)), UnreadableAnswer, 1),
    ],
)
def test_errors_are_raised_typed(kind: str, outcome: Any, raised: type[Exception], requests: int) -> None:
    service = FakeService(*[outcome] * 3)
    with pytest.raises(raised):
        Caller(kind, service, retry=Retry(attempts=3)).embed_texts(["abc"])
    assert len(service.requests) == requests


@both
def test_the_deadline_is_of_all_attempts(kind: str) -> None:
    clock = Clock()

    def slow(request: httpx.Request) -> httpx.Response:
        patience.append(request.extensions["timeout"]["read"])
        clock.now += 4.0
        return error(503, "unavailable", "words")

    patience: list[float] = []
    caller = Caller(kind, slow, retry=Retry(first_s=1, deadline_s=12), timeout_s=5, clock=clock)
    with pytest.raises(Unavailable):
        caller.embed_texts(["abc"])
    # Five seconds each, but never more than are left; after the third no pause fits.
    assert patience == [5, 5, 4]
    assert caller.pauses == [1.0, 2.0]


@both
def test_a_smaller_service_gets_smaller_requests(kind: str) -> None:
    service = FakeService(limit=7)
    rows = Caller(kind, service, chunking=Chunking(texts=50)).embed_texts(WORDS)
    np.testing.assert_array_equal(rows, [vector_of(word) for word in WORDS])
    assert max(size for size in service.sizes("texts") if size <= 7) >= 6
    with pytest.raises(PayloadTooLarge):
        Caller(kind, FakeService(limit=0)).embed_texts(["a", "b"])


@both
@pytest.mark.parametrize("failure", [error(504, "deadline_exceeded", "late"), error(429, "overloaded", "much")])
def test_what_a_service_can_not_do_in_time_is_divided_and_not_sent_again_as_it_was(
    kind: str, failure: httpx.Response
) -> None:
    failure.headers["x-embedding-max-items"] = "9"
    service = FakeService(failure)
    caller = Caller(kind, service, chunking=Chunking(texts=50))
    rows = caller.embed_texts(WORDS[:12])
    np.testing.assert_array_equal(rows, [vector_of(word) for word in WORDS[:12]])
    assert (service.sizes("texts"), caller.pauses) == ([12, 6, 6], [])


@both
def test_the_index_of_an_error_is_the_callers(kind: str) -> None:
    for place in (0, 57, 102):
        texts = [*WORDS[:place], "", *WORDS[place + 1 :]]
        with pytest.raises(InvalidRequest) as raised:
            Caller(kind, FakeService(), chunking=Chunking(texts=10)).embed_texts(texts)
        assert raised.value.param == f"texts.{place}"
        assert str(raised.value) == f"`texts.{place}` must not be empty."
        assert raised.value.request_id == "request-7"


@both
def test_unserializable_inputs(kind: str) -> None:
    service = FakeService()
    caller = Caller(kind, service)
    for texts, param in [
        ("hello", "texts"),
        ([], "texts"),
        (["a", 7], "texts.1"),
        (["a", "\ud800"], "texts.1"),
        (b"hello", "texts"),
        (memoryview(b"hello"), "texts"),
        ({"a": 1}, "texts"),
        (7, "texts"),
        (None, "texts"),
        (iter([]), "texts"),
        ((text for text in ["a", 7]), "texts.1"),
    ]:
        with pytest.raises(InvalidRequest) as raised:
            caller.embed_texts(texts)
        assert raised.value.param == param
    assert service.requests == []
    with pytest.raises(InvalidItem, match=r"texts\.1"):
        caller.embed_texts(["a", None])
    with pytest.raises(TypeError, match="modle"):
        caller.embed_texts(["a"], modle="x")


@both
def test_vectors_of_two_spaces_are_never_mixed(kind: str) -> None:
    switched = FakeService(lambda request: None, lambda request: matrix(np.ones((2, 3), np.float32), "backup@2"))
    with pytest.raises(SpaceMismatch, match="backup@2"):
        Caller(kind, switched, chunking=Chunking(texts=2)).embed_texts(["a", "b", "c", "d"])


@both
def test_the_first_error_ends_the_work(kind: str) -> None:
    """Nothing is sent for chunks that were not begun; at most so many were begun as may wait."""
    service = FakeService(*[error(401, "unauthorized", "words")] * 1000)
    with pytest.raises(Unauthorized):
        Caller(kind, service, concurrency=2, chunking=Chunking(texts=1)).embed_texts(WORDS)
    assert len(service.requests) <= 2 * 2 + 2


def test_pauses_end_with_the_work() -> None:
    """A chunk that waits to be tried again is not, once another's error has ended the work."""
    refused = threading.Event()
    requests: list[str] = []

    def service(request: httpx.Request) -> httpx.Response:
        requests.append(request.content.decode())
        if "patient" in requests[-1]:
            refused.set()
            return error(429, "overloaded", "words", retry_after="50")
        assert refused.wait(20)
        return error(401, "unauthorized", "words")

    client = EmbeddingClient(transport=httpx.MockTransport(service), chunking=Chunking(texts=1))
    with client, pytest.raises(Unauthorized):
        client.embed_texts(["hasty", "patient"])
    # Closing it waits for its threads.
    assert len(requests) == 2


def test_no_more_requests_at_once_than_allowed() -> None:
    """Each request waits for company; that of a full house opens the door."""
    inside: list[int] = []
    most: list[int] = []
    door = threading.Barrier(3, timeout=20)
    inner = FakeService()

    def crowd(request: httpx.Request) -> httpx.Response:
        inside.append(1)
        door.wait()
        most.append(len(inside))
        door.wait()
        inside.pop()
        return inner(request)

    rows = Caller("sync", crowd, concurrency=3, chunking=Chunking(texts=1)).embed_texts(WORDS[:30])
    np.testing.assert_array_equal(rows, [vector_of(word) for word in WORDS[:30]])
    assert set(most) == {3}


def test_no_more_requests_at_once_than_allowed_async() -> None:
    import asyncio

    inside = most = 0

    async def crowd(request: httpx.Request) -> httpx.Response:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        for _ in range(50):
            await asyncio.sleep(0)
        inside -= 1
        return inner(request)

    inner = FakeService()
    rows = Caller("async", crowd, concurrency=3, chunking=Chunking(texts=1)).embed_texts(WORDS[:30])  # type: ignore[arg-type]
    np.testing.assert_array_equal(rows, [vector_of(word) for word in WORDS[:30]])
    assert most == 3


@both
def test_on_progress_counts_every_item(kind: str) -> None:
    told: list[int] = []
    Caller(kind, FakeService(), chunking=Chunking(texts=50)).run(Texts(WORDS), told.append)
    assert told == [50, 50, 3]


@both
def test_progress_bar(kind: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("embeddings_client.progress.bar.__wrapped__.__defaults__", (0.0,))
    Caller(kind, FakeService(), progress=True, chunking=Chunking(texts=50)).embed_texts(WORDS)
    assert "103/103" in capsys.readouterr().err
    for progress in (None, False):  # None: this is no terminal
        Caller(kind, FakeService(), progress=progress, chunking=Chunking(texts=50)).embed_texts(WORDS)
        assert capsys.readouterr().err == ""


def test_a_notebook_has_a_bar_although_it_is_no_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here as text, as in a notebook without ipywidgets; tqdm draws the widget."""
    monkeypatch.setattr("embeddings_client.progress.bar.__wrapped__.__defaults__", (0.0,))
    monkeypatch.setitem(sys.modules, "ipykernel.zmqshell", ModuleType("ipykernel.zmqshell"))
    Caller("sync", FakeService()).embed_texts(WORDS)
    assert "103/103" in capsys.readouterr().err
    Caller("sync", FakeService(), progress=False).embed_texts(WORDS)
    assert capsys.readouterr().err == ""


def test_truncation_is_warned_of_once_by_each_client() -> None:
    long, again = ["a", "b" * 60, "c", "d" * 70], ["e" * 80]
    words = "2 of 4 texts, the first at index 1, are longer than makers/small reads"
    for _ in range(2):
        client = EmbeddingClient(transport=httpx.MockTransport(FakeService()), chunking=Chunking(texts=3))
        with client, warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            assert client.run(Texts(again)).truncated == (0,)  # which says so itself
            client.embed_texts(["a"])
            client.embed_texts(long)
            client.embed_texts(again)
        [warning] = caught
        assert (warning.category, warning.filename) == (TruncationWarning, __file__)
        assert str(warning.message).startswith(words)


@pytest.mark.parametrize(
    ("method", "given", "words"),
    [
        ("embed_batch", [["a", "b" * 60, "c" * 70]], "2 of 3 items are longer than small reads"),
        ("search", ["a", ["b" * 60, "c"]], "1 of the texts of this search are longer than small reads"),
    ],
)
@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_every_method_that_embeds_texts_warns(kind: str, method: str, given: list[Any], words: str) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if kind == "sync":
            with EmbeddingClient(transport=httpx.MockTransport(FakeService())) as client:
                for _ in range(2):
                    getattr(client, method)(*given)
        else:
            async with AsyncEmbeddingClient(transport=httpx.MockTransport(FakeService())) as other:
                for _ in range(2):
                    await getattr(other, method)(*given)
    [warning] = caught
    assert (warning.category, warning.filename) == (TruncationWarning, __file__)
    assert str(warning.message).startswith(words)


def test_a_search_in_chunks_adds_up_what_was_truncated() -> None:
    with EmbeddingClient(transport=httpx.MockTransport(FakeService()), chunking=Chunking(candidates=2)) as client:
        assert client.run(Search("a", ["b" * 60, "c", "d" * 70, "e"])).truncated == 2
        assert client.run(Search("a", ["c"])).truncated == 0


async def test_truncation_is_warned_of_at_the_line_that_awaits() -> None:
    async with AsyncEmbeddingClient(transport=httpx.MockTransport(FakeService())) as client:
        with pytest.warns(TruncationWarning, match="^1 of 1 texts, the first at index 0") as caught:
            await client.embed_texts(["e" * 80])
        assert [warning.filename for warning in caught] == [__file__]
        await client.embed_texts(["e" * 80])


@both
@pytest.mark.parametrize(
    "options",
    [
        {"base_url": "localhost:3000"},
        {"base_url": "http://"},
        {"base_url": "http://here:port"},
        {"base_url": "http://here..org"},
        {"base_url": f"http://{'h' * 64}.org"},
        {"base_url": "http://xn--.org"},
        {"api_key": "a\nb"},
        {"api_key": "schlüssel"},
        {"timeout_s": 0},
        {"concurrency": 0},
    ],
)
def test_invalid_client_settings(kind: str, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must"):
        Caller(kind, FakeService(), **options).embed_texts(["a"])
