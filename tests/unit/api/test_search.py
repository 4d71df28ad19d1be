from typing import Any

import httpx
import pytest

from app.errors import NotFinite
from tests.support.calling import Service
from tests.support.service_fakes import MODEL, FakeEncoder, FakeReranker, FakeSparseEncoder

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


def hybrid(*more: FakeEncoder, **limits: Any) -> Service:
    return Service(FakeEncoder(), FakeSparseEncoder(), *more, **limits)


# By the cosine to "cat ox" ([6, 4, 0]); by the words' lengths at their letters.
CANDIDATES = ["ant cat ox", "kitten", "cat", "ox oxen"]


def fused(service: Service | None = None, **fields: Any) -> Any:
    body = {"query": {"text": "cat ox"}, "candidates": [{"text": text} for text in CANDIDATES], "sparse": True}
    answer = (service or hybrid()).post("/search", json=body | fields)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_dense_and_sparse_ranks_are_fused() -> None:
    found = fused()
    # Dense: lengths 6, 7, 10, 3. Sparse: 3.5² + 2.5², 2.5 · 4.5 (of "oxen", the later word), 3.5².
    assert [(one["index"], one["ranks"]) for one in found["results"]] == [
        (0, {"dense": 3, "sparse": 1}),
        (3, {"dense": 2, "sparse": 3}),
        (2, {"dense": 4, "sparse": 2}),
        (1, {"dense": 1}),
    ]
    assert [one["score"] for one in found["results"]] == pytest.approx(
        [1 / 63 + 1 / 61, 1 / 62 + 1 / 63, 1 / 64 + 1 / 62, 1 / 61]
    )
    assert (found["model"], found["sparseModel"], found["metric"]) == (MODEL, "makers/sparse", "cosine")
    assert (found["embedded"], found["cacheHits"]) == (10, 0)
    assert "ranks" not in search().json()["results"][0]
    for one in (fused(sparse="sparse"), fused(sparse="makers/sparse", topK=9)):
        assert one["results"] == found["results"]
    assert fused(topK=2)["results"] == found["results"][:2]
    assert fused(candidates=[])["results"] == []


def test_threshold_and_metric_are_the_dense_ranking_s() -> None:
    found = fused(metric="euclidean", threshold=0.5)
    assert [(one["index"], one["ranks"]) for one in found["results"]] == [
        (0, {"sparse": 1}),
        (1, {"dense": 1}),
        (2, {"sparse": 2}),
        (3, {"sparse": 3}),
    ]


def test_a_fused_ranking_is_reranked() -> None:
    reranker = FakeReranker()
    found = fused(hybrid(reranker), rerank=True, rerankTop=2, returnCandidates=True)
    assert reranker.calls == [["cat ox | ant cat ox", "cat ox | ox oxen"]]
    assert [(one["index"], one["ranks"], one["candidate"]) for one in found["results"]] == [
        (0, {"dense": 3, "sparse": 1}, {"text": CANDIDATES[0]}),
        (3, {"dense": 2, "sparse": 3}, {"text": CANDIDATES[3]}),
    ]
    assert (found["reranker"], found["sparseModel"]) == ("makers/reranker", "makers/sparse")


def test_more_candidates_than_texts_of_a_request_truncated_ones_and_queries() -> None:
    sparse = FakeSparseEncoder(routes={"query": "print of queries"}, prompts={"document": "as "})
    service = Service(FakeEncoder(), sparse, texts=2)
    body = {"query": {"text": "cat " * 9}, "candidates": [{"text": f"c{i}"} for i in range(5)], "sparse": True}
    answer = service.post("/search", json=body)
    assert sorted(map(len, sparse.calls)) == [1, 1, 2, 2]
    assert sorted(text for call in sparse.calls for text in call)[:2] == ["as c0", "as c1"]
    assert ["query" + "cat " * 9] in sparse.calls
    assert answer.headers["x-embedding-truncated"] == "1"
    assert service.post("/search", json=body).json()["cacheHits"] == 12


@pytest.mark.parametrize(
    ("fields", "status", "param"),
    [
        ({"candidates": [{"text": "a"}, {"vector": [1, 0, 0]}]}, 400, "candidates.1"),
        ({"query": {"vector": [1, 0, 0]}}, 400, "query"),
        ({"candidates": [{"image": "x"}]}, 400, "candidates.0"),
        ({"sparse": "no"}, 404, "model"),
        ({"sparse": MODEL}, 404, "model"),
        ({"sparse": ""}, 400, "sparse"),
        ({"sparse": 1}, 400, "sparse"),
        ({"candidates": [{"text": "a"}, {"text": "b"}, {"text": "bad"}]}, 500, "candidates.2"),
        ({"query": {"text": "bad"}}, 500, "query"),
    ],
)
def test_errors_of_a_hybrid_search_name_the_field(fields: dict[str, Any], status: int, param: str) -> None:
    sparse = FakeSparseEncoder()
    sparse.faults["bad"] = NotFinite("no finite vector")
    body = {"query": {"text": "a"}, "candidates": [{"text": "b"}], "sparse": True} | fields
    answer = Service(FakeEncoder(), sparse, texts=2).post("/search", json=body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (status, param), answer.text
    answer = search(sparse=True)
    assert (answer.status_code, "`sparse_models` (SPARSE_MODEL)" in answer.text) == (404, True)
