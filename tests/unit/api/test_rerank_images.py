"""Images as documents to be ranked: by a model of texts and images, and refused by all others."""

from typing import Any

import numpy as np
import pytest

from app.api.routes import PNG
from tests.support.calling import Service, error_of, good, image_service
from tests.support.service_fakes import FakeEncoder, FakeReranker

IMAGE = {"image": f"data:image/png;base64,{PNG}"}
IMAGE_ROUTES = ("/rerank", "/elastic/rerank", "/v1/rerank", "/v2/rerank")


@pytest.mark.parametrize("path", IMAGE_ROUTES)
@pytest.mark.parametrize(
    "image", [IMAGE, {"image": PNG}, {"url": IMAGE["image"]}, {"image_url": {"url": IMAGE["image"]}}]
)
def test_images_are_documents_of_an_image_model(path: str, image: dict[str, Any]) -> None:
    service = image_service()
    vector = good(service.post("/embed/image", json={"images": [PNG]}))["embeddings"][0]
    query = np.array([3, 4, 0]) / 5  # of "abc"
    right = [float(query @ vector), 1.0, float(query @ np.array([1, 4, 0]) / 17**0.5)]
    order = np.argsort([-value for value in right], kind="stable").tolist()
    for model in ({}, {"model": "pictures"}):
        answer = service.post(path, json={"query": "abc", "documents": [image, "xyz", {"text": "a"}]} | model)
        found = good(answer)
        assert answer.headers["x-embedding-method"] == "bi-encoder"
        scored = found if isinstance(found, list) else found["results"]
        assert [one["index"] for one in scored] == order
        assert [one.get("score", one.get("relevance_score")) for one in scored] == pytest.approx(
            [right[i] for i in order], abs=1e-6
        )
        assert isinstance(found, list) or (found["model"], found["method"]) == ("makers/pictures", "bi-encoder")
    texts = next(iter(service.embeddings.encoders.values()))
    assert isinstance(texts, FakeEncoder)
    assert texts.calls == []


def test_images_are_returned_as_they_came() -> None:
    body = {"query": "abc", "documents": ["xyz", IMAGE], "return_documents": True}
    found = good(image_service().post("/rerank", json=body))
    assert [one["document"] for one in found["results"]] == [{"text": "xyz"}, IMAGE]
    assert [one["document"] for one in found["scores"]] == ["xyz", ""]
    found = good(image_service().post("/v1/rerank", json=body))
    assert [one["document"] for one in found["data"]] == [{"text": "xyz"}, IMAGE]


@pytest.mark.parametrize("path", IMAGE_ROUTES)
@pytest.mark.parametrize(
    ("model", "status"), [(None, 400), ("reranker", 400), ("small-model", 400), ("pictures", 200), ("no", 404)]
)
def test_no_cross_encoder_is_asked_for_an_image(path: str, model: str | None, status: int) -> None:
    reranker = FakeReranker()
    body = {"query": "abc", "documents": ["xyz", IMAGE, IMAGE]} | ({"model": model} if model else {})
    answer = image_service(reranker).post(path, json=body)
    assert answer.status_code == status, answer.text
    assert ("`documents.1` is an image, which " in answer.text) == (status == 400)
    if path == "/rerank":  # as text-embeddings-inference says it
        del body["documents"]
        answer = image_service(reranker).post(path, json=body | {"texts": ["xyz", IMAGE]})
        assert answer.status_code == (422 if status == 400 else status)
        assert ("`texts.1` is an image, which " in answer.text) == (status == 400)
    assert reranker.calls == []


@pytest.mark.parametrize(
    ("documents", "param"),
    [
        (["a", {"image": "no image"}], "documents.1"),
        (["a", {"image": PNG, "text": "b"}], "documents.1"),
        (["a", {"image": 5}], "documents.1"),
        (["a", {}], "documents.1"),
        ([IMAGE, ""], "documents.1"),
        ([IMAGE, {"text": 5}], "documents.1"),
        ([IMAGE, 5], "documents.1"),
        ([IMAGE, "a " * 9], "documents.1"),
        ([IMAGE] * 3, "documents"),
    ],
)
def test_what_is_wrong_with_images_and_texts_beside_them_is_named(documents: list[Any], param: str) -> None:
    images = FakeEncoder("makers/pictures", ("image", "text"))
    service = Service(FakeEncoder(), images, images=2)
    body = {"query": "abc", "documents": documents, "truncate": False}
    answer = service.post("/rerank", json=body)
    assert (400 <= answer.status_code < 500, error_of(answer)["param"]) == (True, param), answer.text
    assert [one["index"] for one in good(service.post("/rerank", json={"query": "abc", "texts": [IMAGE]}))] == [0]
    for path, other in (
        ("/score", {"text_1": "a", "text_2": [IMAGE]}),
        ("/v1/ranking", {"query": {"text": "a"}, "passages": [IMAGE]}),
    ):
        assert service.post(path, json=other).status_code == 400
