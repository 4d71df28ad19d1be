"""`POST /similarity` over real HTTP."""

from typing import Any

import httpx
import pytest


def rank(client: httpx.Client, **body: Any) -> list[tuple[int, Any]]:
    answer = client.post("/similarity", json=body)
    assert answer.status_code == 200, answer.text
    return [(result["index"], pytest.approx(result["score"], abs=1e-6)) for result in answer.json()["results"]]


CANDIDATES = [[0, 1], [1, 0], [3, 4], [1, 0]]


def test_cosine_is_the_default_best_first_ties_by_index(client: httpx.Client) -> None:
    assert rank(client, query=[2, 0], candidates=CANDIDATES) == [(1, 1.0), (3, 1.0), (2, 0.6), (0, 0.0)]


def test_dot(client: httpx.Client) -> None:
    assert rank(client, query=[2, 0], candidates=CANDIDATES, metric="dot", topK=2) == [(2, 6.0), (1, 2.0)]


def test_euclidean_is_a_distance_and_its_threshold_a_maximum(client: httpx.Client) -> None:
    found = rank(client, query=[1, 0], candidates=CANDIDATES, metric="euclidean", threshold=1.4143)
    assert found == [(1, 0.0), (3, 0.0), (0, 2**0.5)]


def test_threshold_is_inclusive_and_top_k_may_exceed_the_candidates(client: httpx.Client) -> None:
    assert rank(client, query=[1, 0], candidates=CANDIDATES, threshold=1.0, topK=99) == [(1, 1.0), (3, 1.0)]


def test_no_candidates_no_results(client: httpx.Client) -> None:
    assert rank(client, query=[1, 0], candidates=[]) == []


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"candidates": [[1]]}, "query"),
        ({"query": [], "candidates": [[1]]}, "query"),
        ({"query": [1]}, "candidates"),
        ({"query": [1, 0], "candidates": [[1, 0], [1]]}, "candidates.1"),
        ({"query": [1, 0], "candidates": [[1, 0, 0]]}, "candidates.0"),
        ({"query": [1, 0], "candidates": [[1, "x"]]}, "candidates.0"),
        ({"query": [1, 0], "candidates": [[1, True]]}, "candidates.0"),
        ({"query": [1, 0], "candidates": [[1, 0]], "metric": "manhattan"}, "metric"),
        ({"query": [1, 0], "candidates": [[1, 0]], "topK": 0}, "topK"),
        ({"query": [1, 0], "candidates": [[1, 0]], "topk": 1}, "topk"),
        ({"query": [1e39, 0], "candidates": [[1, 0]]}, "query.0"),
        ({"query": [0] * 4000, "candidates": [[0]] * 1001}, "candidates"),
    ],
)
def test_bad_requests_name_the_field(client: httpx.Client, body: dict[str, Any], param: str) -> None:
    answer = client.post("/similarity", json=body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param), answer.text


def test_nan_is_not_json(client: httpx.Client) -> None:
    answer = client.post(
        "/similarity", content=b'{"query":[NaN],"candidates":[]}', headers={"content-type": "application/json"}
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_request")
