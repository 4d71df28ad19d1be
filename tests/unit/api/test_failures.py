"""What clients see when a model is overloaded, or an item has ended its replicas."""

import pytest

from app.errors import (
    DeadlineExceeded,
    NotFinite,
    Overloaded,
    RequestRejected,
    ServiceError,
    Unavailable,
    UnknownToken,
)
from tests.support.calling import Service, error_of
from tests.support.service_fakes import FakeEncoder


def service(**faults: Exception) -> Service:
    encoder = FakeEncoder()
    encoder.faults = dict(faults)
    return Service(encoder)


def test_overloaded_response_has_retry_after() -> None:
    full = service(a=Overloaded("The model has 4.2 s of work waiting.", retry_after=5))
    for path, body in (("/embed/text", {"texts": ["a"]}), ("/embed/batch", {"items": [{"text": "a"}]})):
        answer = full.post(path, json=body)
        assert (answer.status_code, error_of(answer)["code"]) == (429, "overloaded")
        assert answer.headers["retry-after"] == "5"


@pytest.mark.parametrize("error", [Overloaded("full", retry_after=5), DeadlineExceeded("late", retry_after=1)])
def test_how_many_items_would_do_is_told_where_it_is_known(error: ServiceError) -> None:
    error.max_items = 613
    refused = service(a=error)
    for path, body in (
        ("/embed/text", {"texts": ["bb", "a"]}),
        ("/v1/embeddings", {"model": "small-model", "input": ["bb", "a"]}),
        ("/embed", {"inputs": ["bb", "a"]}),
    ):
        answer = refused.post(path, json=body)
        assert (answer.status_code, answer.headers["x-embedding-max-items"]) == (error.status, "613")
    answer = refused.post("/embed/batch", json={"items": [{"text": "a"}, {"text": "bb"}]})
    assert [item.get("error", {}).get("code") for item in answer.json()["items"]] == [error.code, None]
    assert (
        "x-embedding-max-items" not in service(a=Overloaded("full")).post("/embed/text", json={"texts": ["a"]}).headers
    )


def test_a_batch_that_was_taken_in_part_is_answered_in_part() -> None:
    full = service(a=Overloaded("full", retry_after=5))
    answer = full.post("/embed/batch", json={"items": [{"text": "a"}, {"text": "bb"}]})
    assert answer.status_code == 200
    assert [item.get("error", {}).get("code") for item in answer.json()["items"]] == ["overloaded", None]


def test_a_rejected_item_is_named() -> None:
    killed = service(bad=RequestRejected("Two replicas died."), lost=Unavailable("gone"))
    answer = killed.post("/embed/text", json={"texts": ["a", "bad"]})
    error = error_of(answer)
    assert (answer.status_code, error["code"], error["param"]) == (503, "request_rejected", "texts.1")
    answer = killed.post("/v1/embeddings", json={"model": "small-model", "input": ["bad"]})
    assert (answer.status_code, answer.json()["error"]["param"]) == (503, "input.0")
    answer = killed.post("/embed/batch", json={"items": [{"text": "a"}, {"text": "bad"}]})
    assert answer.status_code == 200
    told = answer.json()
    assert told["items"][1]["error"]["param"] == "items.1"
    assert told["embeddings"][0] is not None
    # What is nobody's fault names nobody.
    assert error_of(killed.post("/embed/text", json={"texts": ["lost"]}))["param"] is None


def test_an_item_that_the_model_cannot_embed_is_named_by_a_code_of_its_own() -> None:
    faulty = service(nan=NotFinite("No finite vector."), odd=UnknownToken("No vector."))
    for text, status, code in (("nan", 500, "not_finite"), ("odd", 400, "unknown_token")):
        answer = faulty.post("/embed/text", json={"texts": ["a", text, "bb"]})
        error = error_of(answer)
        assert (answer.status_code, error["code"], error["param"]) == (status, code, "texts.1")
        answer = faulty.post("/embed/batch", json={"items": [{"text": "a"}, {"text": text}, {"text": "bb"}]})
        assert answer.status_code == 200
        told = answer.json()["items"]
        assert [item.get("error", {}).get("code") for item in told] == [None, code, None]
        assert told[1]["error"]["param"] == "items.1"
        answer = faulty.post("/v1/embeddings", json={"input": ["a", text]})
        assert (answer.status_code, answer.json()["error"]["param"]) == (status, "input.1")


def test_embedding_routes_declare_overloaded_and_rejected() -> None:
    described = service().get("/openapi.json").json()["paths"]
    for path in ("/embed/text", "/embed/image", "/search", "/v1/embeddings", "/embed"):
        told = described[path]["post"]["responses"]
        assert {"429", "503"} <= set(told)
        assert "request_rejected" in told["503"]["description"]
