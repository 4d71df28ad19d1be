"""Vectors as bytes over real HTTP: answers of the embedding routes, bodies of `/similarity`."""

import uuid
from io import BytesIO
from typing import Any

import httpx
import numpy as np
import pytest

from loadtests.pictures import b64, file_of, fresh_seed, picture
from tests.support.caching import both_write, stored
from tests.support.oracle import Oracle

MODEL = "sentence-transformers/all-MiniLM-L6-v2"
OCTETS, NPY = "application/octet-stream", "application/x-npy"
OUTPUTS = {
    "float32": ("float32", 384),
    "int8": ("int8", 384),
    "uint8": ("uint8", 384),
    "binary": ("int8", 48),
    "ubinary": ("uint8", 48),
}


def ask(client: httpx.Client, accept: str, body: dict[str, Any], path: str = "/embed/text") -> httpx.Response:
    answer = client.post(path, json=body, headers={"accept": accept})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == accept
    return answer


def rows_of(answer: httpx.Response) -> Any:
    shape = [int(size) for size in answer.headers["x-embedding-shape"].split(",")]
    return np.frombuffer(answer.content, answer.headers["x-embedding-dtype"]).reshape(shape)


@pytest.mark.parametrize("output", OUTPUTS)
def test_texts_as_bytes_are_the_json_answer_to_the_bit(client: httpx.Client, output: str, oracle: Oracle) -> None:
    dtype, width = OUTPUTS[output]
    texts = [f"{uuid.uuid4()} number {i}" for i in range(100)]
    body = {"texts": texts, "outputType": output}
    both_write(client)
    with stored(client, len(texts)):
        plain = ask(client, OCTETS, body)
    rows = rows_of(plain)
    assert (rows.shape, rows.dtype.name) == ((100, width), dtype)
    told = ask(client, "application/json", body).json()
    assert told["cacheHits"] == len(texts)
    assert np.array(told["embeddings"], dtype).tobytes() == plain.content
    file = np.load(BytesIO(ask(client, NPY, body).content), allow_pickle=False)
    assert (file.tobytes(), file.dtype.name, file.shape) == (plain.content, dtype, (100, width))
    headers = plain.headers
    assert headers["x-embedding-model"] == MODEL == told["model"]
    assert (headers["x-embedding-dimensions"], headers["x-embedding-space"]) == ("384", told["space"])
    assert headers["x-embedding-tokens"] == str(told["usage"]["tokens"])
    assert headers["x-embedding-cache-hits"] == "0"
    if output == "float32":
        assert (rows * oracle(texts)).sum(1).min() >= 0.9999


def test_images_as_bytes(client: httpx.Client) -> None:
    images = [b64(file_of(picture(fresh_seed()))) for _ in range(3)]
    told = ask(client, "application/json", {"images": images}, "/embed/image").json()
    plain = ask(client, OCTETS, {"images": images}, "/embed/image")
    assert rows_of(plain).tobytes() == np.array(told["embeddings"], np.float32).tobytes()
    assert plain.headers["x-embedding-note"] == told["note"]
    upload = client.post("/embed/image", files=[("images", b"oops")], headers={"accept": NPY})
    assert (upload.status_code, upload.json()["error"]["code"]) == (400, "invalid_image")


def test_every_truncated_text_is_named_on_the_way_through_the_proxy(client: httpx.Client) -> None:
    mark = uuid.uuid4().hex[:8]
    texts = [f"{mark} {i} " + "word " * 300 for i in range(64)]
    body = {"texts": [texts[i % 64] for i in range(2048)]}
    answer = ask(client, OCTETS, body)
    lines = answer.headers.get_list("x-embedding-truncated")
    assert [int(index) for line in lines for index in line.split(",")] == list(range(2048))
    assert rows_of(answer).shape == (2048, 384)


@pytest.mark.parametrize("metric", ["cosine", "dot", "euclidean"])
@pytest.mark.parametrize("kind", ["plain", "float32 file", "float64 file"])
def test_a_matrix_is_ranked_like_the_lists(client: httpx.Client, kind: str, metric: str) -> None:
    rows = np.random.default_rng(5).standard_normal((301, 16)).astype(np.float32)
    told = client.post(
        "/similarity", json={"query": rows[0].tolist(), "candidates": rows[1:].tolist(), "metric": metric, "topK": 7}
    ).json()
    headers, content = {"content-type": OCTETS, "x-embedding-shape": "301,16"}, rows.tobytes()
    if kind != "plain":
        file = BytesIO()
        np.save(file, rows.astype(kind.split()[0]))
        headers, content = {"content-type": NPY}, file.getvalue()
    answer = client.post("/similarity", content=content, headers=headers, params={"topK": 7, "metric": metric})
    assert answer.status_code == 200, answer.text
    assert len(told["results"]) == 7
    assert answer.json()["results"] == told["results"]


def test_ten_thousand_vectors(client: httpx.Client) -> None:
    rows = np.random.default_rng(6).standard_normal((10_001, 384), dtype=np.float32)
    rows[4322] = rows[0] * 2
    answer = client.post(
        "/similarity",
        content=rows.tobytes(),
        headers={"content-type": OCTETS, "x-embedding-shape": "10001,384"},
        params={"topK": 10, "space": "a@1"},
    )
    assert answer.status_code == 200, answer.text
    body = answer.json()
    scores = rows[1:] @ rows[0] / np.linalg.norm(rows[1:], axis=1) / np.linalg.norm(rows[0])
    assert [result["index"] for result in body["results"]] == np.argsort(-scores, kind="stable")[:10].tolist()
    assert body["results"][0] == {"index": 4321, "score": 1.0}
    assert body["space"] == "a@1"


@pytest.mark.parametrize(
    ("content", "headers", "status", "words"),
    [
        (b"x" * 23, {"x-embedding-shape": "3,2"}, 400, "23 bytes"),
        (b"", {}, 400, "is missing"),
        (b"x" * 24, {"x-embedding-shape": "3"}, 400, "two whole numbers"),
        (b"x" * 24, {"x-embedding-shape": "99999999,384"}, 400, "the limit is 4,000,000"),
        (np.full(6, np.nan, "<f4").tobytes(), {"x-embedding-shape": "3,2"}, 400, "not finite"),
        (b"x" * 24, {"content-type": NPY}, 400, "not a NumPy file"),
        (b"x" * (96 * 2**20 + 1), {"x-embedding-shape": "3,2"}, 413, "100,663,296 bytes"),
    ],
)
def test_wrong_matrices_are_refused_in_words(
    client: httpx.Client, content: bytes, headers: dict[str, str], status: int, words: str
) -> None:
    answer = client.post("/similarity", content=content, headers={"content-type": OCTETS} | headers)
    assert answer.status_code == status
    assert words in answer.json()["error"]["message"]


def test_an_answer_that_can_not_be_given(client: httpx.Client) -> None:
    answer = client.post("/embed/text", json={"texts": ["a"]}, headers={"accept": "text/csv"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (406, "not_acceptable")
