"""Long texts in chunks: on their own, late, and as Jina's and Voyage's clients ask for them."""

import asyncio
import base64
from dataclasses import replace
from typing import Any

import httpx
import numpy as np
import pytest

from app.errors import InvalidItem, InvalidRequest, NotFinite, Overloaded
from tests.support.calling import Service, error_of, good
from tests.support.keys import ALL, bearer, guard_of
from tests.support.service_fakes import FakeEncoder

TEXT = "one two three  four five"


def pooled(**about: Any) -> FakeEncoder:
    encoder = FakeEncoder()
    assert encoder.state.info is not None
    info = replace(encoder.state.info, **about)
    encoder.state = replace(encoder.state, info=info)
    return encoder


def refused(answer: httpx.Response) -> tuple[int, str, str | None]:
    """Voyage's form has no param."""
    error = {"message": answer.json().get("detail"), "param": None} | answer.json().get("error", {})
    return answer.status_code, error["message"], error["param"]


def ask(service: Service, **body: Any) -> httpx.Response:
    return service.post("/embed/chunks", json=body)


def late(service: Service, **body: Any) -> httpx.Response:
    return service.post("/v1/embeddings", json=body | {"late_chunking": True})


def contextualized(service: Service, **body: Any) -> httpx.Response:
    return service.post("/v1/contextualizedembeddings", json=body)


def test_chunks_of_texts_are_embedded_as_texts() -> None:
    encoder = FakeEncoder()
    service = Service(encoder)
    answer = good(ask(service, texts=[TEXT, "six"], size=2, overlap=1, by="sentences", normalize=False))
    first, second = answer["results"]
    assert first["chunks"][:2] == [
        {"text": "one two", "start": 0, "end": 7, "embedding": [7, 4, 0]},
        {"text": "two three", "start": 4, "end": 13, "embedding": [9, 4, 0]},
    ]
    assert second == {"chunks": [{"text": "six", "start": 0, "end": 3, "embedding": [3, 4, 0]}]}
    assert encoder.chunked == [(2, 1, "sentences", None, 2048)]
    assert answer["usage"] == {"tokens": 10}
    assert (answer["cached"], answer["cacheHits"], answer["truncated"], answer["model"][:6]) == (False, 0, [], "makers")
    # They are texts of the cache, too.
    assert good(ask(service, texts=[TEXT, "six"], size=2, overlap=1))["cached"] is True
    assert good(service.post("/embed/text", json={"texts": ["two three"]}))["cached"] is True


def test_one_text_and_the_form_of_its_vectors() -> None:
    answer = good(ask(Service(), text="abc"))
    assert answer["results"][0]["chunks"][0]["embedding"] == pytest.approx([0.6, 0.8, 0])
    levels = good(ask(Service(), text="abc", outputType="int8"))
    assert levels["outputType"] == "int8"
    assert len(levels["range"]) == 2
    encoder = pooled(prompts={"query": "q: "})
    good(ask(Service(encoder), text="abc", promptName="query"))
    assert encoder.calls == [["q: abc"]]
    assert encoder.chunked == [(None, 0, "tokens", "q: ", 2048)]


def test_of_white_space_there_is_no_chunk() -> None:
    service = Service(pooled())
    for flag in (False, True):
        assert [one["chunks"] for one in good(ask(service, texts=[" ", "\n"], late=flag))["results"]] == [[], []]
        assert [len(one["chunks"]) for one in good(ask(service, texts=[" ", "a"], late=flag))["results"]] == [0, 1]


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({}, 400, "texts"),
        ({"text": "a", "texts": ["a"]}, 400, "texts"),
        ({"texts": []}, 400, "texts"),
        ({"text": ""}, 400, "text"),
        ({"texts": ["a", ""]}, 400, "texts.1"),
        ({"text": "a", "size": 0}, 400, "size"),
        ({"text": "a", "overlap": -1}, 400, "overlap"),
        ({"text": "a", "size": 4, "overlap": 4}, 400, "overlap"),
        ({"text": "a", "by": "pages"}, 400, "by"),
        ({"text": "a", "promptName": "none"}, 400, "promptName"),
        ({"text": "a", "model": "none"}, 404, "model"),
        ({"text": "a", "chunkSize": 3}, 400, "chunkSize"),
        ({"texts": ["a", "b " * 20], "size": 1}, 413, "size"),
        ({"texts": ["a"] * 21}, 413, "texts"),
        ({"texts": ["a", "b" * 101]}, 413, "texts.1"),
        ({"text": "b" * 101}, 413, "text"),
        ({"text": "b" * 1001}, 413, None),
    ],
)
def test_chunk_requests_that_are_refused(body: dict[str, Any], status: int, param: str | None) -> None:
    error = ask(Service(FakeEncoder(), texts=20, text_bytes=100, chunk_body=1000), **body)
    assert error.status_code == status
    assert error_of(error)["param"] == param


def test_an_error_of_a_chunk_names_its_text() -> None:
    encoder = pooled()
    encoder.faults = {"three": InvalidItem("no"), "a b": NotFinite("no", "0")}
    assert refused(ask(Service(encoder), texts=["a b", "one two three"], size=1)) == (400, "no", "texts.1")
    assert refused(ask(Service(encoder), text="one two three", size=1)) == (400, "no", "text")
    assert refused(ask(Service(encoder), texts=["c", "a b"], late=True))[2] == "texts.1"


def test_late_chunks_are_pooled_in_the_whole_text() -> None:
    encoder = pooled(prompts={"document": "d: "})
    service = Service(encoder)
    texts = [TEXT, "six " * 60]
    answer = good(ask(service, texts=texts, size=60, late=True, normalize=False, inputType="document"))
    assert answer["results"] == [
        {"chunks": [{"text": TEXT, "start": 0, "end": 24, "embedding": [0, 24, 27]}], "windows": 1},
        {"chunks": [{"text": texts[1].strip(), "start": 0, "end": 239, "embedding": [0, 239, 243]}], "windows": 3},
    ]
    assert (answer["usage"], answer["cached"], encoder.calls) == ({"tokens": 65}, False, [])
    # Never cached: the next is read anew.
    assert good(ask(service, texts=texts, late=True))["cacheHits"] == 0


@pytest.mark.parametrize(
    ("about", "words"),
    [
        ({"pooling": ("cls",)}, "it is pooled by cls"),
        ({"pooling": ("mean", "max")}, "mean and max"),
        ({"pooling": ()}, "no means of tokens"),
        ({"backend": "static"}, "know nothing of the text"),
        ({"routes": {"query": "print"}}, "different tasks"),
    ],
)
def test_models_that_do_not_pool_late(about: dict[str, Any], words: str) -> None:
    service = Service(pooled(**about))
    for answer, field in (
        (ask(service, text=TEXT, late=True), "late"),
        (late(service, input=["a", "b"]), "late_chunking"),
        (contextualized(service, inputs=[["a"]]), None),
    ):
        status, message, param = refused(answer)
        assert (status, param) == (400, field)
        assert words in message


def test_what_an_encoder_or_its_load_refuses() -> None:
    encoder = pooled()
    encoder.overload = Overloaded("full", retry_after=3)
    service = Service(encoder)
    assert [ask(service, text="a", late=flag).status_code for flag in (False, True)] == [429, 429]
    encoder.overload = None
    # What waits elsewhere is asked for room by all of a request's documents, before the first is read.
    encoder.full_beside = Overloaded("full of documents", retry_after=2)
    answer = contextualized(service, inputs=[["a"], ["b", "c"]])
    assert (answer.status_code, answer.headers["retry-after"], encoder.tracked) == (429, "2", [["a", "b c"]])
    encoder.full_beside = None
    assert ask(service, texts=["a", "b c"], late=True).status_code == 200
    assert (encoder.tracked[1:], encoder.pooled) == ([["a", "b c"]], [])
    encoder.faults = {"a b": InvalidRequest("no token vectors", "late")}
    assert refused(ask(service, texts=["a b"], late=True)) == (400, "no token vectors", "late")


@pytest.mark.parametrize(
    ("path", "body", "left"),
    [
        ("/embed/chunks", {"text": TEXT}, "95"),
        ("/embed/chunks", {"text": TEXT, "late": True}, "95"),
        ("/v1/contextualizedembeddings", {"inputs": [["one two", "three"]]}, "97"),
        ("/v1/embeddings", {"input": ["one two", "three"], "late_chunking": True}, "97"),
    ],
)
def test_chunks_count_against_a_quota(path: str, body: dict[str, Any], left: str) -> None:
    service = Service(pooled(), authenticator=guard_of(tokens_per_minute=100))
    answer = service.post(path, json=body, headers=bearer(ALL))
    assert (answer.status_code, answer.headers["x-ratelimit-remaining-tokens"]) == (200, left)


def test_jinas_late_chunking() -> None:
    """All inputs are one document; each has one vector."""
    service = Service(pooled())
    answer = good(late(service, input=["one two", "three", "漢字"]))
    expected = np.array([[0, 7, 16], [8, 13, 16], [14, 16, 16]], np.float32)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert [one["index"] for one in answer["data"]] == [0, 1, 2]
    assert np.abs(np.array([one["embedding"] for one in answer["data"]]) - expected).max() < 1e-6
    assert answer["usage"] == {"prompt_tokens": 4, "total_tokens": 4}
    assert "warning" not in answer
    assert len(good(late(service, input="one"))["data"]) == 1
    warned = good(late(service, input=["word " * 30, "b"], dimensions=2))["warning"]
    assert "in 2 overlapping parts" in warned
    assert "shortened vectors" in warned
    plain = {"input": ["one two", "three"]}
    assert (
        good(service.post("/v1/embeddings", json=plain | {"late_chunking": False}))["data"]
        == (good(service.post("/v1/embeddings", json=plain))["data"])
    )


def test_what_jinas_late_chunking_refuses() -> None:
    service = Service(pooled(), FakeEncoder("makers/clip", ("image",)), texts=3, chunk_body=50)
    for body in ({"input": [1, 2]}, {"input": [{"text": "a"}]}, {"input": "a", "truncate_prompt_tokens": 5}):
        assert refused(late(service, **body))[::2] == (400, "late_chunking")
    assert refused(late(service, input=["a"] * 4))[::2] == (400, "input")
    assert refused(late(service, input=["a" * 30, "b" * 30]))[::2] == (400, "input")
    encoder = pooled()
    encoder.faults = {"a b": InvalidItem("It has no tokens", "1")}
    assert refused(late(Service(encoder), input=["a", "b"])) == (400, "It has no tokens", "input.1")


def test_voyages_contextualised_embeddings() -> None:
    service = Service(pooled(prompts={"query": "q: "}))
    body = {"inputs": [["one two", "three"], ["six"]], "input_type": "query", "output_dtype": "float", "user": "x"}
    answer = contextualized(service, **body)
    data = good(answer)["data"]
    assert [(one["object"], one["index"], [each["index"] for each in one["data"]]) for one in data] == [
        ("list", 0, [0, 1]),
        ("list", 1, [0]),
    ]
    row = np.array([8, 13, 16], np.float32)
    assert data[0]["data"][1]["embedding"] == pytest.approx((row / np.linalg.norm(row)).tolist())
    assert good(answer)["usage"] == {"total_tokens": 4}
    assert answer.headers["x-embedding-ignored-fields"] == "user"
    encoded = good(contextualized(service, **body, encoding_format="base64"))["data"][0]["data"][1]["embedding"]
    assert np.frombuffer(base64.b64decode(encoded), np.float32) == pytest.approx(row / np.linalg.norm(row))
    short = good(contextualized(service, inputs=[["one two"]], output_dimension=2))["data"][0]["data"]
    assert short[0]["embedding"] == pytest.approx([0, 1])


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"inputs": []}, "inputs"),
        ({"inputs": [["a"], []]}, "inputs.1"),
        ({"inputs": [["a", ""]]}, "inputs.0.1"),
        ({"inputs": ["a"]}, "inputs.0"),
        ({"inputs": [["a"] * 4]}, "4 texts"),
        ({"inputs": [["a"]], "chunk_size": 5}, "chunk_size"),
        ({"inputs": [["a"]], "output_dtype": "half"}, "output_dtype"),
        ({"inputs": [["a"]], "output_dimension": 9}, "output_dimension"),
    ],
)
def test_what_voyages_route_refuses(body: dict[str, Any], param: str) -> None:
    status, message, _ = refused(contextualized(Service(pooled(), texts=3), **body))
    assert (status, param in message) == (400, True), message


def test_documents_together_have_one_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*_: Any) -> Any:
        await asyncio.Event().wait()

    encoder = FakeEncoder()
    monkeypatch.setattr(encoder, "pool_spans", never)
    answer = contextualized(Service(encoder, deadline_s=0.05), inputs=[["a"], ["b"]])
    assert answer.status_code == 504
    assert "send fewer" in refused(answer)[1]
