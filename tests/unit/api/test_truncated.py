"""`x-embedding-truncated` on every route that embeds: how many inputs were truncated, absent if none were."""

from typing import Any

import pytest

from app.api.routes import ROUTES
from tests.support.calling import Service
from tests.support.service_fakes import MODEL, FakeEncoder, FakeReranker, FakeSparseEncoder, FakeTokenEncoder

NAME = "x-embedding-truncated"
SHORT, LONG, LONGER = "a b", "a b c d e f g h i", "one two three four five six seven eight nine ten"
RERANKED = ("/rerank", "/elastic/rerank", "/v1/rerank", "/v2/rerank")

# For some texts, the request; the first text is a query where there is one.
BODIES: dict[str, Any] = {
    "/embed/text": lambda texts: {"texts": texts},
    "/embed/batch": lambda texts: {"items": [*({"text": text} for text in texts), {"text": ""}]},
    "/search": lambda texts: {"query": {"text": texts[0]}, "candidates": [{"text": text} for text in texts[1:]]},
    "/v1/embeddings": lambda texts: {"model": MODEL, "input": texts},
    "/embed": lambda texts: {"inputs": texts},
    "/": lambda texts: {"inputs": texts},
    **dict.fromkeys(RERANKED, lambda texts: {"query": texts[0], "documents": texts[1:]}),
    "/v1/ranking": lambda texts: {
        "query": {"text": texts[0]},
        "passages": [{"text": text} for text in texts[1:]],
        "truncate": "END",
    },
    "/score": lambda texts: {"text_1": texts[0], "text_2": texts[1:]},
    "/predict": lambda texts: {"inputs": [[text] for text in texts[1:]]},
    "/classify": lambda texts: {"input": texts},
    **dict.fromkeys(("/embeddings", "/api/embed"), lambda texts: {"input": texts}),
    **dict.fromkeys(("/v1/embed", "/v2/embed"), lambda texts: {"texts": texts}),
    "/v1/multimodalembeddings": lambda texts: {"inputs": [{"content": [{"text": text}]} for text in texts]},
}
# Of one text, or of a model for images.
OTHERS: dict[str, Any] = {
    "/api/embeddings": {"prompt": LONG},
    "/vectors": {"text": LONG},
    "/vectorize": {"texts": [LONG]},
    "/embed_sparse": {"inputs": LONG},
    "/embed_all": {"inputs": LONG},
    "/similarity": {"inputs": {"source_sentence": "a", "sentences": [LONG]}},
}


def test_every_route_that_truncates_is_here() -> None:
    assert {*BODIES, *OTHERS} == {route.path for route in ROUTES if route.truncates}


@pytest.mark.parametrize("path", OTHERS)
def test_routes_of_one_text_say_so_too(path: str) -> None:
    pictures = FakeEncoder("makers/pictures", ("image", "text"))
    service = Service(FakeEncoder(), pictures, FakeSparseEncoder(), FakeTokenEncoder())
    answer = service.post(path, json=OTHERS[path])
    assert (answer.status_code, answer.headers.get(NAME)) == (200, "1")


@pytest.mark.parametrize("path", BODIES)
def test_the_header_counts_what_was_truncated(path: str) -> None:
    service = Service(FakeEncoder(), *([FakeReranker()] if path in ("/predict", "/classify") else []))

    def truncated(*texts: str) -> str | None:
        answer = service.post(path, json=BODIES[path]([*texts]))
        assert answer.status_code == 200, answer.text
        value: str | None = answer.headers.get(NAME)
        return value

    assert truncated(SHORT, SHORT, "c") is None
    assert truncated(SHORT, LONG, "c", LONGER) == "2"
    assert truncated(SHORT, LONG, "c", LONGER) == "2"  # from the cache
    if path != "/predict":
        assert truncated(LONG, SHORT) == "1"


def test_token_ids_and_objects_count_alike() -> None:
    service = Service(FakeEncoder(MODEL, ("text", "image")))
    objects = service.post("/v1/embeddings", json={"model": MODEL, "input": [{"text": LONG}, {"text": SHORT}]})
    assert objects.headers[NAME] == "1"
    assert NAME not in service.post("/v1/embeddings", json={"model": MODEL, "input": [[5, 6]]}).headers


@pytest.mark.parametrize("path", [*RERANKED, "/score"])
def test_a_pair_that_is_cut_counts_once(path: str) -> None:
    service = Service(FakeEncoder(), FakeReranker())
    answer = service.post(path, json=BODIES[path](["a b c d e", "f g h i", "a"]))
    assert (answer.status_code, answer.headers[NAME]) == (200, "1")


def test_search_counts_a_candidate_once_whether_its_vector_or_its_pair_is_cut() -> None:
    service = Service(FakeEncoder(), FakeReranker())
    body = BODIES["/search"](["a b c d e", "f g h i", "a", LONG, "b"])
    assert service.post("/search", json=body).headers[NAME] == "1"
    assert service.post("/search", json=body | {"rerank": True}).headers[NAME] == "2"
    # Of two candidates that are ranked again, only these are cut.
    body = BODIES["/search"]([SHORT, "c", "d"])
    assert NAME not in service.post("/search", json=body | {"rerank": True}).headers


def test_errors_do_not_carry_it() -> None:
    service = Service()
    answer = service.post("/embed", json={"inputs": [SHORT, LONG], "truncate": False})
    assert (answer.status_code, NAME in answer.headers) == (422, False)


def test_a_binary_answer_lists_the_indices_in_its_place() -> None:
    answer = Service().post(
        "/embed/text", json={"texts": [LONG, SHORT, LONGER]}, headers={"accept": "application/x-npy"}
    )
    assert answer.headers.get_list(NAME) == ["0,2"]


def test_the_document_and_cross_origin_pages_know_it() -> None:
    service = Service(settings={"cors_origins": ["https://page.example"]})
    paths = service.get("/openapi.json").json()["paths"]
    documented = {
        path
        for path, methods in paths.items()
        for route in methods.values()
        if NAME in route["responses"]["200"]["headers"]
    }
    assert documented == {*BODIES, *OTHERS, "/embed/image"}
    answer = service.post("/embed", json={"inputs": LONG}, headers={"origin": "https://page.example"})
    assert NAME in answer.headers["access-control-expose-headers"].split(", ")
