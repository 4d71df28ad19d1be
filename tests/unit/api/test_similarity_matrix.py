from collections.abc import AsyncIterator
from io import BytesIO
from typing import Any

import httpx
import numpy as np
import pytest

from tests.support.calling import Service, error_of

OCTETS, NPY = "application/octet-stream", "application/x-npy"
ROWS = np.array([[2, 0], [0, 1], [1, 0], [3, 4], [1, 0]], np.float32)


def rank(
    content: bytes = ROWS.tobytes(), kind: str = OCTETS, shape: str | None = "5,2", **query: Any
) -> httpx.Response:
    headers = {"content-type": kind} | ({"x-embedding-shape": shape} if shape else {})
    return Service().post("/similarity", content=content, headers=headers, params=query)


def npy(array: Any) -> bytes:
    file = BytesIO()
    np.save(file, array)
    return file.getvalue()


@pytest.mark.parametrize(
    "options", [{}, {"topK": 2}, {"metric": "dot", "threshold": 3}, {"metric": "euclidean", "threshold": 1.5}]
)
def test_the_answer_is_that_of_the_json_request(options: dict[str, Any]) -> None:
    body = {"query": ROWS[0].tolist(), "candidates": ROWS[1:].tolist()} | options
    told = Service().post("/similarity", json=body).json()
    plain, file = rank(**options).json(), rank(npy(ROWS.astype(np.float64)), NPY, None, **options).json()
    assert len(told["results"]) == {0: 4, 1: 2, 2: 1 if options.get("metric") == "dot" else 2}[len(options)]
    assert plain["results"] == file["results"] == told["results"]
    assert plain["metric"] == told["metric"]
    assert "space" not in plain
    assert rank(space="a@1").json()["space"] == "a@1"


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"topK": "0"}, "topK"),
        ({"topK": "many"}, "topK"),
        ({"topK": ["1", "2"]}, "topK"),
        ({"threshold": "nan"}, "threshold"),
        ({"metric": "manhattan"}, "metric"),
        ({"top_k": "1"}, "top_k"),
        ({"querySpace": "a"}, "querySpace"),
    ],
)
def test_options_follow_the_rules_of_the_fields(query: dict[str, Any], param: str) -> None:
    answer = rank(**query)
    assert (answer.status_code, error_of(answer)["param"]) == (400, param)


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        ({"shape": None}, 400, "`x-embedding-shape` is missing"),
        ({"shape": "5,3"}, 400, "5 × 3 float32 numbers have 60"),
        ({"content": b""}, 400, "The body has 0 bytes"),
        ({"kind": NPY}, 400, "not a NumPy file"),
        ({"kind": "application/npy"}, 415, "application/octet-stream or application/x-npy"),
        ({"content": np.full((5, 2), np.nan, np.float32).tobytes()}, 400, "not finite"),
    ],
)
def test_invalid_similarity_matrices(options: dict[str, Any], status: int, words: str) -> None:
    answer = rank(**options)
    assert answer.status_code == status
    assert words in error_of(answer)["message"]


def test_a_compressed_body_is_refused() -> None:
    headers = {"content-type": OCTETS, "x-embedding-shape": "5,2", "content-encoding": "gzip"}
    answer = Service().post("/similarity", content=ROWS.tobytes(), headers=headers)
    assert (answer.status_code, error_of(answer)["param"]) == (415, "content-encoding")


def test_a_body_of_no_declared_length() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, 40, 7):
            yield ROWS.tobytes()[start : start + 7]

    headers = {"content-type": OCTETS, "x-embedding-shape": "5,2"}
    answer = Service().post("/similarity", content=pieces(), headers=headers)
    assert answer.json()["results"] == rank().json()["results"]
    answer = Service().post("/similarity", content=pieces(), headers=headers | {"content-length": "39"})
    assert (answer.status_code, error_of(answer)["code"]) == (413, "payload_too_large")


def test_a_body_above_the_limit_is_refused() -> None:
    headers = {"content-type": OCTETS, "x-embedding-shape": "5,2"}
    answer = Service(vector_body=39).post("/similarity", content=ROWS.tobytes(), headers=headers)
    assert (answer.status_code, error_of(answer)["code"]) == (413, "payload_too_large")
