"""`POST /embed/text` over real HTTP, real Ray and real MiniLM."""

import uuid
from typing import Any

import httpx
import numpy as np
import pytest

from tests.support.caching import both_write, stored
from tests.support.oracle import Oracle

MODEL = "sentence-transformers/all-MiniLM-L6-v2"


def embed(client: httpx.Client, texts: list[str], **options: Any) -> dict[str, Any]:
    answer = client.post("/embed/text", json={"texts": texts, **options})
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def cosines(a: Any, b: Any) -> Any:
    a, b = np.asarray(a), np.asarray(b)
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def test_answer_has_every_field_with_true_values(client: httpx.Client, oracle: Oracle) -> None:
    texts = [f"Hello world {uuid.uuid4()}", "Machine learning " + uuid.uuid4().hex]
    body = embed(client, texts)
    assert set(body) == {
        "embeddings", "model", "dimensions", "processingTime", "cached", "cacheHits", "usage", "truncated",
        "space",
    }  # fmt: skip
    assert body["model"] == MODEL
    assert body["dimensions"] == 384 == len(body["embeddings"][0]) == len(body["embeddings"][1])
    assert (body["cached"], body["cacheHits"], body["truncated"]) == (False, 0, [])
    assert body["processingTime"] > 0
    assert cosines(body["embeddings"], oracle(texts)).min() >= 0.9999


def test_short_model_name_and_full_one_are_the_same(client: httpx.Client) -> None:
    text = uuid.uuid4().hex
    first = embed(client, [text], model=MODEL)
    again = embed(client, [text], model="all-MiniLM-L6-v2")
    assert again["embeddings"] == first["embeddings"]
    assert again["model"] == MODEL


def test_equal_texts_get_equal_vectors_in_order(client: httpx.Client, oracle: Oracle) -> None:
    a, b = "apple " + uuid.uuid4().hex, "a much longer text about boats and rivers " + uuid.uuid4().hex
    body = embed(client, [b, a, b, a, a])
    rows = body["embeddings"]
    assert rows[0] == rows[2]
    assert rows[1] == rows[3] == rows[4]
    assert cosines(rows[:2], oracle([b, a])).min() >= 0.9999


def test_usage_counts_tokens_and_truncation_is_told(client: httpx.Client) -> None:
    # "hello" is one token; [CLS] and [SEP] come on top; the model reads 256 at most.
    mark = uuid.uuid4().hex
    body = embed(client, ["hello", "hello " * 254, "hello " * 255, "hello " * 1000 + mark])
    assert body["usage"]["tokens"] == 3 + 256 + 256 + 256
    assert body["truncated"] == [2, 3]
    # A hit tells the same as the miss did.
    assert embed(client, ["hello", "hello " * 255])["truncated"] == [1]


def test_second_time_comes_from_the_cache(client: httpx.Client) -> None:
    texts = [uuid.uuid4().hex, uuid.uuid4().hex]
    both_write(client)
    with stored(client, len(texts)):
        fresh = embed(client, texts)
    mixed = embed(client, [*texts, uuid.uuid4().hex])
    assert (mixed["cached"], mixed["cacheHits"]) == (False, 2)
    again = embed(client, texts)
    assert (again["cached"], again["cacheHits"]) == (True, 2)
    assert again["embeddings"] == fresh["embeddings"]
    assert again["usage"] == fresh["usage"]


def test_embeddings_have_length_one(client: httpx.Client) -> None:
    for normalize in (True, False):  # all-MiniLM-L6-v2 normalises by itself
        rows = np.asarray(embed(client, ["one", "two words"], normalize=normalize)["embeddings"])
        assert np.abs(np.linalg.norm(rows, axis=1) - 1).max() < 1e-3


def test_most_texts_that_a_request_may_hold(client: httpx.Client, oracle: Oracle) -> None:
    mark = uuid.uuid4().hex[:8]
    texts = [f"{mark} {i} " + "word " * (i % 10) for i in range(2048)]
    rows = embed(client, texts)["embeddings"]
    sample = list(range(0, 2048, 97))
    assert len(rows) == 2048
    assert cosines([rows[i] for i in sample], oracle([texts[i] for i in sample])).min() >= 0.9999


@pytest.mark.parametrize(
    ("body", "status", "code", "param", "words"),
    [
        ({"texts": "hello"}, 400, "invalid_request", "texts", 'send ["hello"] instead'),
        ({"texts": []}, 400, "invalid_request", "texts", "must not be empty"),
        ({"texts": ["a", ""]}, 400, "invalid_request", "texts.1", "must not be empty"),
        ({"texts": ["a", 7]}, 400, "invalid_request", "texts.1", "not a number"),
        ({"texts": ["a", None]}, 400, "invalid_request", "texts.1", "not null"),
        ({}, 400, "invalid_request", "texts", "missing"),
        ([], 400, "invalid_request", None, "must be a JSON object"),
        ({"texts": ["a"], "modle": "x"}, 400, "invalid_request", "modle", "Known fields: inputType, model, normalize"),
        ({"texts": ["a"], "normalize": "yes"}, 400, "invalid_request", "normalize", "boolean"),
        ({"texts": ["a"], "model": "no-such"}, 404, "model_not_found", "model", MODEL),
        ({"texts": ["a"] * 2049}, 413, "payload_too_large", "texts", "at most 2,048"),
        ({"texts": ["a", "é" * 32769]}, 413, "payload_too_large", "texts.1", "at most 65,536"),
    ],
)
def test_bad_requests_are_told_what_is_wrong(
    client: httpx.Client, body: Any, status: int, code: str, param: str | None, words: str
) -> None:
    answer = client.post("/embed/text", json=body)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (status, code, param)
    assert words in error["message"]
    assert error["requestId"] == answer.headers["x-request-id"]


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "empty"), (b"{", "not valid JSON"), (b'{"texts": ["\\ud800"]}', "not valid JSON"), (b"\xff\xfe", "JSON")],
)
def test_broken_json(client: httpx.Client, content: bytes, words: str) -> None:
    answer = client.post("/embed/text", content=content, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert words in answer.json()["error"]["message"]


def test_wrong_content_type_method_and_path(client: httpx.Client) -> None:
    answer = client.post("/embed/text", content=b"texts=a", headers={"content-type": "text/plain"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (415, "unsupported_media_type")
    answer = client.get("/embed/text")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    answer = client.get("/embed/texts")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


def test_body_above_the_limit_is_refused(client: httpx.Client) -> None:
    answer = client.post("/embed/text", content=b" " * (16 * 2**20 + 1), headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "payload_too_large")


def test_request_id_is_the_clients_own(client: httpx.Client) -> None:
    answer = client.post("/embed/text", json={"texts": [""]}, headers={"x-request-id": "order-66"})
    assert answer.json()["error"]["requestId"] == "order-66"
    assert answer.headers.get_list("x-request-id") == ["order-66"]
