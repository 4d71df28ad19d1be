"""Sparse and token vectors, as text-embeddings-inference and `/embed/text` answer them."""

from typing import Any

import pytest

from app.errors import NotFinite, Overloaded
from tests.support.calling import Service, error_of, good
from tests.support.keys import ALL, bearer, guard_of
from tests.support.service_fakes import MODEL, FakeEncoder, FakeSparseEncoder, FakeTokenEncoder

LONG = "a b c d e f g h i"


def both() -> Service:
    return Service(FakeEncoder(), FakeSparseEncoder())


def test_texts_are_answered_as_by_text_embeddings_inference() -> None:
    service = both()
    assert good(service.post("/embed_sparse", json={"inputs": "cat a 7"})) == [
        [{"index": 0, "value": 1.5}, {"index": 2, "value": 3.5}]
    ]
    body = {"inputs": ["7", "dog", LONG], "truncation_direction": "Left", "truncate": True, "unknown": 1}
    answer = service.post("/embed_sparse", json=body)
    assert good(answer) == [[], [{"index": 3, "value": 3.5}], [{"index": i, "value": 1.5} for i in range(9)]]
    assert answer.headers["x-embedding-ignored-fields"] == "unknown"


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"inputs": []}, 400, "not empty"),
        ({"inputs": ["a", ""]}, 400, "`inputs.1` must not be empty"),
        ({"inputs": [5, 6]}, 422, "a string or a list of strings"),
        ({"inputs": {"text": "a"}}, 422, "a string or a list of strings"),
        ({"inputs": ["a", LONG], "truncate": False}, 422, "`inputs.1` must have at most 8 tokens"),
        ({"inputs": LONG, "truncate": False}, 422, "`inputs` must have at most 8 tokens"),
        ({"inputs": "a", "dimensions": 2}, 422, "`dimensions` is not supported"),
        ({"inputs": "a", "prompt_name": "x"}, 422, "has no prompt 'x'"),
        ({"inputs": "a", "model": MODEL}, 404, f"No sparse model named '{MODEL}' is served here"),
        ({"inputs": ["a"] * 2049}, 422, "2049 texts"),
    ],
)
def test_what_does_not_fit_is_named(body: dict[str, Any], status: int, words: str) -> None:
    answer = both().post("/embed_sparse", json=body)
    assert (answer.status_code, words in answer.json()["error"]) == (status, True), answer.text


def test_without_a_sparse_model_its_setting_is_named() -> None:
    answer = Service(FakeEncoder()).post("/embed_sparse", json={"inputs": "a"})
    assert answer.status_code == 404
    assert answer.json()["error"].endswith("Served: none. `sparse_models` (SPARSE_MODEL) can name one.")


def test_the_native_route_answers_for_a_sparse_model_that_is_named() -> None:
    service = both()
    body = {"texts": ["cat", "7", LONG, "cat"], "model": "sparse"}
    first = good(service.post("/embed/text", json=body))
    assert first.pop("processingTime") >= 0
    cat = {"indices": [2], "values": [3.5]}
    assert first == {
        "embeddings": [],
        "sparseEmbeddings": [cat, {"indices": [], "values": []}, {"indices": [*range(9)], "values": [1.5] * 9}, cat],
        "model": "makers/sparse",
        "dimensions": 26,
        "cached": False,
        "cacheHits": 0,
        "usage": {"tokens": 11},
        "truncated": [2],
        "space": "makers/sparse@print of makers/",
    }
    again = good(service.post("/embed/text", json=body | {"normalize": False}))
    assert (again["cached"], again["cacheHits"], again["sparseEmbeddings"]) == (True, 4, first["sparseEmbeddings"])
    assert "sparseEmbeddings" not in good(service.post("/embed/text", json={"texts": ["cat"]}))


@pytest.mark.parametrize(
    ("fields", "accept", "status", "param"),
    [
        ({"outputType": "int8"}, "*/*", 400, "outputType"),
        ({"outputType": "binary"}, "*/*", 400, "outputType"),
        ({"normalize": True}, "*/*", 400, "normalize"),
        ({}, "application/octet-stream", 406, "accept"),
        ({}, "application/x-npy", 406, "accept"),
    ],
)
def test_forms_that_sparse_vectors_do_not_have_are_refused(
    fields: dict[str, Any], accept: str, status: int, param: str
) -> None:
    answer = both().post("/embed/text", json={"texts": ["a"], "model": "sparse"} | fields, headers={"accept": accept})
    assert (answer.status_code, error_of(answer)["param"]) == (status, param)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/embeddings", {"input": "a", "model": "sparse"}),
        ("/embed", {"inputs": "a", "model": "sparse"}),
        ("/search", {"query": {"text": "a"}, "candidates": [{"text": "b"}], "model": "sparse"}),
        (
            "/cache/warm",
            {"fingerprint": "x", "texts": ["a"], "embeddings": "AAAAAA==", "tokens": [1], "model": "sparse"},
        ),
    ],
)
def test_no_route_of_dense_vectors_takes_a_sparse_model(path: str, body: dict[str, Any]) -> None:
    answer = both().post(path, json=body)
    assert (answer.status_code, "No text model named 'sparse'" in answer.text) == (404, True), answer.text


def test_errors_limits_queries_and_documents() -> None:
    sparse = FakeSparseEncoder(routes={"query": "print of queries"}, prompts={"document": "as "})
    service = Service(FakeEncoder(), sparse)
    for kind, read in (("query", "querydog"), ("document", "as dog"), (None, "dog")):
        good(service.post("/embed_sparse", json={"inputs": "dog"} | ({"input_type": kind} if kind else {})))
        assert sparse.calls[-1] == [read]
    sparse.faults["bad"] = NotFinite("no finite vector")
    answer = service.post("/embed_sparse", json={"inputs": ["dog", "bad"]})
    assert (answer.status_code, answer.json()["error_type"]) == (500, "Backend")
    sparse.overload = Overloaded("later", retry_after=3)
    answer = service.post("/embed_sparse", json={"inputs": ["cow"]})
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "3")
    assert service.embeddings.refusal("sparse") is sparse.overload
    assert service.embeddings.refusal("text") is None


def test_tenants_have_entries_of_their_own_and_quotas_count_tokens() -> None:
    sparse = FakeSparseEncoder()
    service = Service(FakeEncoder(), sparse, authenticator=guard_of())
    for key in (ALL, ALL):
        good(service.post("/embed_sparse", json={"inputs": "dog cat"}, headers=bearer(key)))
    assert sparse.calls == [["dog cat"]]
    assert service.post("/embed_sparse", json={"inputs": "dog"}).status_code == 401


def test_kinds_are_named() -> None:
    health = both().get("/health").json()
    assert health["models"] == {"text": MODEL, "image": None, "sparse": "makers/sparse"}
    assert [one["kind"] for one in health["details"]] == ["text", "sparse"]
    assert [one["kind"] for one in both().get("/v1/models").json()["data"]] == ["text", "sparse"]


def test_the_vectors_of_tokens_are_answered_as_by_text_embeddings_inference() -> None:
    tokens = FakeTokenEncoder()
    service = Service(FakeEncoder(), tokens)
    assert good(service.post("/embed_all", json={"inputs": "a bcd"})) == [[[1, 0.5], [3, 0.5]]]
    body = {"inputs": ["a bcd", LONG], "truncate": True}
    assert good(service.post("/embed_all", json=body)) == [[[1, 0.5], [3, 0.5]], [[1, 0.5]] * 8]
    assert tokens.calls == [["a bcd"], [LONG]]
    answer = service.post("/embed_all", json=body | {"truncate": False})
    assert (answer.status_code, "`inputs.1` must have at most 8 tokens" in answer.text) == (422, True)
    answer = service.post("/embed_all", json={"inputs": "a", "model": MODEL})
    assert (answer.status_code, f"No token model named '{MODEL}'" in answer.text) == (404, True)
    answer = Service(FakeEncoder()).post("/embed_all", json={"inputs": "a"})
    assert (answer.status_code, "`token_models` (TOKEN_MODEL) can name one" in answer.text) == (404, True)
    assert [one["kind"] for one in service.get("/v1/models").json()["data"]] == ["text", "token"]


def test_too_many_token_vectors_are_refused_before_they_are_made() -> None:
    tokens = FakeTokenEncoder()
    service = Service(FakeEncoder(), tokens, vector_body=80)
    for inputs, name, size in ((["a bcd", LONG, "a"], "inputs.2", 88), ([LONG, LONG], "inputs.1", 128)):
        answer = service.post("/embed_all", json={"inputs": inputs})
        assert answer.status_code == 422
        assert f"With `{name}` the vectors of all tokens have {size} bytes; at most 80" in answer.json()["error"]
    assert tokens.calls == [], "nothing was encoded"
    # As many as fit, whatever they could have been.
    assert len(good(service.post("/embed_all", json={"inputs": ["a bcd", LONG]}))) == 2
    answer = service.post("/rerank", json={"query": "a", "documents": [LONG, "a b c"], "model": "tokens"})
    assert (answer.status_code, error_of(answer)["param"]) == (413, "documents.1")


def test_queries_and_documents_of_a_colbert_are_read_and_kept_apart() -> None:
    routes = {"query": "print of queries", "document": "print of documents"}
    tokens = FakeTokenEncoder(routes=routes, prompts={"query": "[Q] ", "document": "[D] "})
    service = Service(FakeEncoder(), tokens)
    for task, read in (("query", "query[Q] a"), ("document", "document[D] a"), (None, "a")):
        good(service.post("/embed_all", json={"inputs": "a"} | ({"input_type": task} if task else {})))
        assert tokens.calls[-1] == [read]
    good(service.post("/embed_all", json={"inputs": "a", "prompt_name": "query"}))
    assert tokens.calls[-1] == ["[Q] a"]
