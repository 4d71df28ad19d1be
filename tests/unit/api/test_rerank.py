"""Reranking and classification, as each client asks for it, by a cross-encoder and by a text model's cosines."""

import math
from typing import Any

import numpy as np
import pytest

from app.cache.entry import pack
from app.errors import DeadlineExceeded, NotFinite, Overloaded
from tests.support.calling import Service, error_of, good
from tests.support.keys import ALL, bearer, guard_of
from tests.support.service_fakes import MODEL, FakeEncoder, FakeReranker, FakeTokenEncoder

QUERY = "red green blue"
TEXTS = ["yellow", "blue green", "red", "green red blue", "grey red"]
# Words that each shares with the query.
LOGITS = [0, 2, 1, 3, 1]
NONE = "No rerank model is served here. Served: none. `rerank_models` (RERANK_MODEL) can name one."
BEST = [3, 1, 2, 4, 0]  # ties by index


def sigmoid(value: float) -> Any:
    return pytest.approx(1 / (1 + math.exp(-value)), abs=1e-6)


def both() -> Service:
    return Service(FakeEncoder(), FakeReranker())


def test_texts_are_answered_as_by_text_embeddings_inference() -> None:
    service = both()
    answer = service.post("/rerank", json={"query": QUERY, "texts": TEXTS})
    assert good(answer) == [{"index": i, "score": sigmoid(LOGITS[i])} for i in BEST]
    assert "x-embedding-method" not in answer.headers
    body = {"query": QUERY, "texts": TEXTS, "raw_scores": True, "return_text": True, "top_n": 2}
    assert good(service.post("/rerank", json=body)) == [
        {"index": 3, "score": 3.0, "text": TEXTS[3]},
        {"index": 1, "score": 2.0, "text": TEXTS[1]},
    ]


def test_documents_are_answered_as_by_infinity_and_weaviate() -> None:
    body = {"query": QUERY, "documents": TEXTS, "top_n": 1, "return_documents": True}
    answer = both().post("/rerank", json=body, headers={"x-request-id": "mine-1"})
    tokens = sum(3 + len(text.split()) for text in TEXTS)
    assert good(answer) == {
        "id": "mine-1",
        "query": QUERY,
        "model": "makers/reranker",
        "results": [{"index": 3, "relevance_score": sigmoid(3), "document": {"text": TEXTS[3]}}],
        # All, and in the order of the request: Weaviate reads them by their places.
        "scores": [{"document": text, "score": sigmoid(value)} for text, value in zip(TEXTS, LOGITS, strict=True)],
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


@pytest.mark.parametrize("field", ["texts", "documents"])
def test_elastic_has_a_list_for_either(field: str) -> None:
    given: list[Any] = [TEXTS[0], {"text": TEXTS[1]}]
    found = good(both().post("/elastic/rerank", json={"query": QUERY, field: given, "return_text": True}))
    assert [(one["index"], one["text"]) for one in found] == [(1, TEXTS[1]), (0, TEXTS[0])]


@pytest.mark.parametrize("path", ["/v1/rerank", "/v2/rerank"])
@pytest.mark.parametrize("top", ["top_n", "top_k"])
def test_jina_cohere_and_voyage_find_what_they_read(path: str, top: str) -> None:
    body = {"model": "reranker", "query": QUERY, "documents": TEXTS, top: 2, "user": "me"}
    answer = both().post(path, json=body)
    found = good(answer)
    results = [{"index": 3, "relevance_score": sigmoid(3)}, {"index": 1, "relevance_score": sigmoid(2)}]
    assert (found["object"], found["model"], found["results"], found["data"]) == (
        "list",
        "makers/reranker",
        results,
        results,
    )
    assert found["meta"]["tokens"]["input_tokens"] == found["usage"]["total_tokens"] == 24
    assert (answer.headers["x-embedding-ignored-fields"], "method" in found) == ("user", False)
    documents = [{"text": "red"}, "green"]
    asked = {"query": QUERY, "documents": documents, "return_documents": True}
    assert [one["document"] for one in good(both().post(path, json=asked))["results"]] == [
        {"text": "red"},
        {"text": "green"},
    ]


def test_nims_passages_have_logits() -> None:
    body = {"query": {"text": QUERY}, "passages": [{"text": text} for text in TEXTS]}
    found = good(both().post("/v1/ranking", json=body))
    assert found == {"rankings": [{"index": i, "logit": float(LOGITS[i])} for i in BEST]}
    body["passages"].append({"text": "too long a text for this model to read"})  # type: ignore[attr-defined]
    answer = both().post("/v1/ranking", json=body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "passages.5")
    for side in ("START", "END"):
        assert len(good(both().post("/v1/ranking", json=body | {"truncate": side}))["rankings"]) == 6


def test_pairs_are_scored_one_to_many_and_one_by_one() -> None:
    service = both()
    for first, second, logits in (
        (QUERY, TEXTS[1], [2]),
        (QUERY, TEXTS[:3], [0, 2, 1]),
        ([QUERY], TEXTS[:3], [0, 2, 1]),
        (["red", "grey", "blue"], ["red", "red", "red blue"], [1, 0, 1]),
    ):
        found = good(service.post("/score", json={"text_1": first, "text_2": second}))
        assert [(one["index"], one["score"]) for one in found["data"]] == [
            (i, sigmoid(value)) for i, value in enumerate(logits)
        ]
    answer = service.post("/score", json={"text_1": ["a", "b"], "text_2": ["a", "b", "c"]})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "text_2")


def test_without_a_cross_encoder_a_text_model_answers_and_says_so() -> None:
    service = Service(FakeEncoder())
    texts = ["abc", "a", "abcdef"]
    # A text's vector is [length, 4, 0].
    lengths = np.array([len(text) for text in ("abcd", *texts)], float)
    rows = np.stack([lengths, np.full(4, 4.0)], 1)
    cosines = rows[1:] @ rows[0] / np.linalg.norm(rows[1:], axis=1) / np.linalg.norm(rows[0])
    order = np.argsort(-cosines).tolist()
    requests: dict[str, dict[str, Any]] = {
        "/rerank": {"query": "abcd", "documents": texts},
        "/elastic/rerank": {"query": "abcd", "texts": texts},
        "/v1/rerank": {"query": "abcd", "documents": texts},
        "/v2/rerank": {"query": "abcd", "documents": texts},
        "/v1/ranking": {"query": {"text": "abcd"}, "passages": [{"text": text} for text in texts]},
        "/score": {"text_1": "abcd", "text_2": texts},
    }
    for path, body in requests.items():
        answer = service.post(path, json=body)
        found = good(answer)
        assert answer.headers["x-embedding-method"] == "bi-encoder"
        assert isinstance(found, list) or found["method"] == "bi-encoder"
        scored = found if isinstance(found, list) else found.get("results") or found.get("rankings") or found["data"]
        name = next(key for key in ("relevance_score", "score", "logit") if key in scored[0])
        assert [one["index"] for one in scored] == ([0, 1, 2] if path == "/score" else order)
        for one in scored:
            assert one[name] == pytest.approx(cosines[one["index"]], abs=1e-6)
    raw = good(service.post("/rerank", json={"query": "abcd", "texts": texts, "raw_scores": True}))
    assert raw[0]["score"] == pytest.approx(cosines[order[0]], abs=1e-6)


def test_a_model_that_is_named_answers_whatever_it_is() -> None:
    service = both()
    body = {"query": "a", "documents": ["b"]}
    assert good(service.post("/rerank", json=body))["model"] == "makers/reranker"
    found = good(service.post("/rerank", json=body | {"model": "small-model"}))
    assert (found["model"], found["method"]) == (MODEL, "bi-encoder")
    answer = service.post("/rerank", json=body | {"model": "makers/unknown"})
    assert (answer.status_code, error_of(answer)["code"]) == (404, "model_not_found")
    assert error_of(answer)["message"].startswith(
        "No rerank model named 'makers/unknown' is served here. Served: makers/reranker. "
    )
    # A reranker makes no vectors.
    assert service.post("/embed/text", json={"texts": ["a"], "model": "reranker"}).status_code == 404


def test_scores_are_cached_by_pair_and_side() -> None:
    reranker = FakeReranker()
    service = Service(FakeEncoder(), reranker)
    body: dict[str, Any] = {"query": "a b", "texts": ["c d", "c d", "b"]}
    first = good(service.post("/rerank", json=body))
    assert good(service.post("/rerank", json=body)) == first
    assert reranker.calls == [["a b | c d", "a b | b"]]
    for other in (
        {"query": "a", "texts": ["b c d"]},
        {"query": "a b c", "texts": ["d"]},
        {"query": "c d", "texts": ["a b"]},
        {"query": "a bc", "texts": [" d"]},
    ):
        good(service.post("/rerank", json=other))
    good(service.post("/rerank", json=body | {"truncation_direction": "Left"}))
    assert [len(call) for call in reranker.calls] == [2, 1, 1, 1, 1, 2]


def test_each_client_reads_errors_in_its_own_form() -> None:
    service = both()
    long = "nine words are too many for this small model"
    # The body tells whose client it is; before it is read the form is the service's own.
    answer = service.post("/rerank", json={"query": "a", "texts": [long], "truncate": False})
    assert (answer.status_code, answer.json()["error_type"]) == (422, "Validation")
    assert answer.json()["error"].startswith("`texts.0` must have at most 8 tokens with its query")
    assert error_of(service.post("/rerank", json={"query": "a", "documents": [long], "truncate": False}))["param"] == (
        "documents.0"
    )
    assert service.post("/rerank", json={"query": "a", "texts": []}).json()["error_type"] == "Empty"
    for body, param in (
        ({"documents": ["a"]}, "query"),
        ({"query": "a"}, "documents"),
        ({"query": "a", "documents": ["a"], "texts": ["a"]}, "documents"),
        ({"query": "", "documents": ["a"]}, "query"),
        ({"query": "a", "documents": "a"}, "documents"),
        ({"query": "a", "documents": ["a", ""]}, "documents.1"),
        ({"query": "a", "documents": ["a", {"text": "b", "title": "c"}]}, "documents.1"),
        ({"query": "a", "documents": ["a", {"text": 5}]}, "documents.1"),
        ({"query": "a", "documents": ["a"], "max_chunks_per_doc": 3}, "max_chunks_per_doc"),
        ({"query": "a", "documents": ["a"], "top_n": 0}, "top_n"),
    ):
        answer = service.post("/rerank", json=body)
        found = answer.json()["error"] if "error_type" not in answer.json() else {"param": "documents"}
        assert (answer.status_code in (400, 422), found["param"]) == (True, param), answer.text
    for path, body in (
        ("/v1/rerank", {"query": "a", "documents": ["a"], "top_n": 1, "top_k": 2}),
        ("/v1/rerank", {"query": "a", "documents": [long], "truncation": False}),
        ("/score", {"text_1": "a", "text_2": []}),
    ):
        answer = service.post(path, json=body)
        assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")


def test_limits_deadlines_and_load_are_as_on_other_routes() -> None:
    reranker = FakeReranker()
    service = Service(FakeEncoder(), reranker, texts=2, text_bytes=40, text_body=200)
    for body, param in (
        ({"query": "a", "documents": ["a"] * 3}, "documents"),
        ({"query": "a", "documents": ["a", "b" * 41]}, "documents.1"),
        ({"query": "b" * 41, "documents": ["a"]}, "query"),
    ):
        answer = service.post("/rerank", json=body)
        assert (answer.status_code, error_of(answer)["param"]) == (413, param)
    # A query is sent with each text: what that makes is limited as a body is.
    service = Service(FakeEncoder(), reranker, text_bytes=10_000, text_body=20_000)
    answer = service.post("/rerank", json={"query": "q" * 9_000, "documents": ["a", "b", "c"]})
    assert (answer.status_code, error_of(answer)["param"]) == (413, "documents")
    reranker.faults["a | bad"] = NotFinite("no finite score")
    answer = service.post("/rerank", json={"query": "a", "documents": ["b", "bad"]})
    assert (answer.status_code, error_of(answer)["param"]) == (500, "documents.1")
    reranker.faults["a | slow"] = DeadlineExceeded("slow")
    assert service.post("/rerank", json={"query": "a", "documents": ["slow"]}).status_code == 504
    reranker.overload = Overloaded("full", retry_after=3)
    answer = service.post("/rerank", json={"query": "a", "documents": ["new"]})
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "3")
    assert service.embeddings.refusal("rerank") is reranker.overload
    alone = FakeEncoder()
    alone.overload = Overloaded("full", retry_after=3)
    assert Service(alone).embeddings.refusal("rerank") is alone.overload


def test_tokens_of_cosines_count_too() -> None:
    service = Service(FakeEncoder(), authenticator=guard_of(tokens_per_minute=100))
    answer = service.post("/rerank", json={"query": "a b", "texts": ["c", "d e f"]}, headers=bearer(ALL))
    assert answer.headers["x-ratelimit-remaining-tokens"] == "94"
    assert {*good(answer)[0]} == {"index", "score"}


def test_labels_of_texts_and_pairs_are_predicted() -> None:
    service = Service(FakeEncoder(), FakeReranker(labels=("joy", "fear"), activation="Identity"))
    one = [{"score": sigmoid(2), "label": "fear"}, {"score": sigmoid(-2), "label": "joy"}]  # softmax of [2, 4]
    assert good(service.post("/predict", json={"inputs": "two words"})) == one
    assert good(service.post("/predict", json={"inputs": ["two words"]})) == one
    raw = {"raw_scores": True}
    assert good(service.post("/predict", json={"inputs": ["a b", "b a"]} | raw)) == [
        {"score": 4.0, "label": "fear"},
        {"score": 2.0, "label": "joy"},
    ]
    several = good(service.post("/predict", json={"inputs": [["one"], ["a", "a"], "two words"]} | raw))
    assert [[label["score"] for label in labels] for labels in several] == [[2.0, 1.0], [2.0, 1.0], [4.0, 2.0]]
    wrong: Any
    for wrong in ([["a", "b", "c"]], [[]], [5], []):
        assert service.post("/predict", json={"inputs": wrong}).status_code in (400, 422)
    answer = service.post("/predict", json={"inputs": [["a"], ["b " * 9]], "truncate": False})
    assert (answer.status_code, answer.json()["error"].split()[0]) == (422, "`inputs.1`")
    answer = service.post("/rerank", json={"query": "a", "documents": ["b"]})
    assert "is a classifier (joy, fear): ask /predict" in error_of(answer)["message"]
    single = Service(FakeEncoder(), FakeReranker())
    assert good(single.post("/predict", json={"inputs": "one"})) == [{"score": sigmoid(1), "label": "relevance"}]
    assert Service(FakeEncoder()).post("/predict", json={"inputs": "one"}).status_code == 404


def test_a_search_is_reranked() -> None:
    texts = ["c" * 9, "red blue", "red", "green red blue"]
    body: dict[str, Any] = {"query": {"text": QUERY}, "candidates": [{"text": text} for text in texts]}
    plain = good(both().post("/search", json=body))
    assert "reranker" not in plain
    for name in (True, "reranker"):
        found = good(both().post("/search", json=body | {"rerank": name, "topK": 2, "returnCandidates": True}))
        assert found["results"] == [
            {"index": 3, "score": sigmoid(3), "candidate": {"text": texts[3]}},
            {"index": 1, "score": sigmoid(2), "candidate": {"text": texts[1]}},
        ]
        assert (found["reranker"], found["model"]) == ("makers/reranker", MODEL)
    best = [one["index"] for one in plain["results"]][:2]
    found = good(both().post("/search", json=body | {"rerank": True, "rerankTop": 2}))
    assert {one["index"] for one in found["results"]} == {*best}
    assert good(both().post("/search", json=body | {"candidates": [], "rerank": True}))["results"] == []
    mixed = body | {"candidates": [{"text": "a"}, {"vector": [1, 0, 0]}], "rerank": True}
    assert error_of(both().post("/search", json=mixed))["param"] == "candidates.1"
    answer = Service(FakeEncoder()).post("/search", json=body | {"rerank": True})
    assert (answer.status_code, error_of(answer)["message"]) == (404, NONE)
    reranker = FakeReranker()
    reranker.faults[f"{QUERY} | red"] = NotFinite("no finite score")
    answer = Service(FakeEncoder(), reranker).post("/search", json=body | {"rerank": True})
    assert (answer.status_code, error_of(answer)["param"]) == (500, "candidates.2")


def test_kinds_are_named() -> None:
    health = both().get("/health").json()
    assert health["models"] == {"text": MODEL, "image": None, "rerank": "makers/reranker"}
    assert [one["kind"] for one in health["details"]] == ["text", "rerank"]
    assert {*Service(FakeEncoder()).get("/health").json()["models"]} == {"text", "image"}
    assert [one["kind"] for one in both().get("/v1/models").json()["data"]] == ["text", "rerank"]


def test_a_score_is_an_entry_as_a_vector_is() -> None:
    assert FakeReranker().entry_of("a | a") == pack(np.array([[1]], np.float32), [2], [False])


def test_each_text_of_a_pair_has_the_limit_of_a_text() -> None:
    service = Service(FakeReranker("makers/moods", ("calm", "glad"), "Identity"), text_bytes=10)
    for pair in (["a" * 11, "b"], ["b", "a" * 11]):
        answer = service.post("/predict", json={"inputs": [["a", "b"], pair]})
        assert (answer.status_code, "inputs.1" in answer.text) == (422, True)
    assert service.post("/predict", json={"inputs": [["a" * 10, "b"]]}).status_code == 200


def max_sim(query: str, text: str) -> Any:
    """Of `FakeTokenEncoder`'s vectors: (length of the word, 0.5)."""
    one, other = (np.array([[len(word), 0.5] for word in each.split()[:8]]) for each in (query, text))
    one, other = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (one, other))
    return pytest.approx(float((one @ other.T).max(axis=1).sum()), abs=1e-6)


def test_a_model_of_token_vectors_that_is_named_answers_by_max_sim() -> None:
    tokens = FakeTokenEncoder()
    service = Service(FakeEncoder(), FakeReranker(), tokens)
    body = {"query": QUERY, "documents": TEXTS, "model": "tokens"}
    answer = service.post("/rerank", json=body)
    scores = [max_sim(QUERY, text) for text in TEXTS]
    assert [one["score"] for one in good(answer)["scores"]] == scores
    assert (answer.json()["method"], answer.headers["x-embedding-method"]) == ("late-interaction", "late-interaction")
    assert answer.json()["results"][0]["index"] == 3, "all of the query's words"
    assert tokens.calls == [[QUERY], TEXTS] or tokens.calls == [TEXTS, [QUERY]]
    good(service.post("/v1/rerank", json=body))
    assert len(tokens.calls) == 2, "vectors are cached, and pairs are not"
    pairs = {"text_1": ["red", "grey"], "text_2": ["blue green", "a"], "model": "tokens"}
    found = good(service.post("/score", json=pairs))["data"]
    assert [one["score"] for one in found] == [max_sim("red", "blue green"), max_sim("grey", "a")]
    whole = service.post("/rerank", json=body | {"documents": ["a b c d e f g h i"], "truncate": False})
    assert (whole.status_code, error_of(whole)["param"]) == (400, "documents.0")


def test_a_search_is_reranked_by_a_model_of_token_vectors() -> None:
    service = Service(FakeEncoder(), FakeReranker(), FakeTokenEncoder())
    body = {"query": {"text": QUERY}, "candidates": [{"text": text} for text in TEXTS], "rerank": "tokens"}
    answer = good(service.post("/search", json=body | {"topK": 2}))
    assert answer["reranker"] == "makers/tokens"
    assert answer["results"][0] == {"index": 3, "score": max_sim(QUERY, TEXTS[3])}
    assert service.post("/search", json=body | {"rerank": MODEL}).status_code == 404
