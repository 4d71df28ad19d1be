from typing import Any

import httpx
import pytest

from tests.support.calling import Service
from tests.support.service_fakes import MODEL, FakeEncoder

SPACE = f"{MODEL}@print of makers/"


def search(service: Service | None = None, **fields: Any) -> httpx.Response:
    """The fake makes [length, 4, 0] of a text."""
    body: dict[str, Any] = {"query": {"text": "abc"}, "candidates": [{"text": "a" * 90}, {"text": "xyz"}]}
    return (service or Service()).post("/search", json=body | fields)


def test_texts_are_embedded_and_ranked() -> None:
    service = Service()
    body = search(service, returnCandidates=True).json()
    assert body.pop("processingTime") > 0
    [best, worst] = body.pop("results")
    assert best == {"index": 1, "score": 1.0, "candidate": {"text": "xyz"}}
    assert (worst["index"], worst["score"]) == (0, pytest.approx((270 + 16) / 5 / (90**2 + 16) ** 0.5, abs=1e-6))
    assert body == {"metric": "cosine", "model": MODEL, "space": SPACE, "embedded": 3, "cacheHits": 0}
    again = search(service, topK=1).json()
    assert (again["cacheHits"], again["embedded"], again["results"]) == (3, 0, [{"index": 1, "score": 1.0}])


def test_search_options() -> None:
    distances = search(metric="euclidean").json()["results"]
    assert distances == [{"index": 1, "score": 0.0}, {"index": 0, "score": 87.0}]
    assert search(threshold=0.99).json()["results"] == [{"index": 1, "score": 1.0}]
    assert search(candidates=[]).json()["results"] == []


def test_vectors_mix_with_texts_of_their_space() -> None:
    mixed = [{"vector": [3, 4, 0]}, {"text": "a"}]
    body = search(candidates=mixed, space=SPACE).json()
    assert body["results"][0] == {"index": 0, "score": 1.0}
    refused = search(candidates=mixed, space="other@1")
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "space_mismatch")
    short = search(candidates=[{"vector": [3, 4]}])
    assert (short.status_code, short.json()["error"]["param"]) == (400, "candidates.0")


def test_vectors_alone_need_no_model() -> None:
    encoder = FakeEncoder()
    body = search(
        Service(encoder), query={"vector": [1, 0]}, candidates=[{"vector": [0, 1]}, {"vector": [1, 0]}]
    ).json()
    assert (body["results"][0], body["model"], body["space"]) == ({"index": 1, "score": 1.0}, None, None)
    assert encoder.calls == []


def test_more_texts_than_one_embedding_request_may_have() -> None:
    body = search(Service(texts=10), candidates=[{"text": "x" * (i + 1)} for i in range(95)], topK=1).json()
    assert body["results"] == [{"index": 2, "score": 1.0}]


@pytest.mark.parametrize(
    ("fields", "status", "param"),
    [
        ({"query": None}, 400, "query"),
        ({"query": "abc"}, 400, "query"),
        ({"query": {"text": ""}}, 400, "query.text"),
        ({"query": {"text": "a", "vector": [1]}}, 400, "query"),
        ({"candidates": None}, 400, "candidates"),
        ({"candidates": ["abc"]}, 400, "candidates.0"),
        ({"candidates": [{"text": "a"}, {"text": 5}]}, 400, "candidates.1.text"),
        ({"candidates": [{"vector": []}]}, 400, "candidates.0.vector"),
        ({"candidates": [{"vector": [1, True]}]}, 400, "candidates.0.vector"),
        ({"candidates": [{"text": "a"}, {"text": "b" * 200}]}, 413, "candidates.1"),
        ({"candidates": [{"text": "a"}] * 21}, 413, "candidates"),
        ({"candidates": [{"image": "x"}] * 3}, 413, "candidates"),
        ({"candidates": [{"image": "x"}]}, 404, "model"),
        ({"model": "no"}, 404, "model"),
        ({"topK": 0}, 400, "topK"),
        ({"promptName": "no"}, 400, "promptName"),
        ({"top": 1}, 400, "top"),
    ],
)
def test_search_errors_name_the_field(fields: dict[str, Any], status: int, param: str) -> None:
    answer = search(Service(search_candidates=20, images=2, text_bytes=100), **fields)
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (status, param), error


def test_similarity_refuses_to_mix_spaces() -> None:
    vectors = {"query": [1, 0], "candidates": [[1, 0]]}
    same = Service().post("/similarity", json=vectors | {"querySpace": "a", "candidateSpace": "a"}).json()
    assert same["space"] == "a"
    assert Service().post("/similarity", json=vectors | {"querySpace": "a"}).json()["space"] == "a"
    assert "space" not in Service().post("/similarity", json=vectors).json()
    answer = Service().post("/similarity", json=vectors | {"querySpace": "a", "candidateSpace": "b"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "space_mismatch")
