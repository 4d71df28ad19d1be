"""Voyage's multimodal route, Weaviate's modules, Infinity's classify, and health where NIM's clients ask for it."""

import base64
from dataclasses import replace
from typing import Any

import httpx
import numpy as np
import pytest

from app.api.routes import PNG
from app.schemas.compatibility import IGNORED_HEADER
from app.service.encoder import ModelState
from tests.support.calling import Service, good, image_service
from tests.support.service_fakes import MODEL, FakeEncoder, FakeReranker, info_of

MULTIMODAL = "/v1/multimodalembeddings"
URI = f"data:image/png;base64,{PNG}"
LONG = " ".join("a" * 9)  # nine tokens, where eight are read
UNIT = pytest.approx([0.6, 0.8, 0])  # of "abc"


def refused(answer: httpx.Response, key: str, status: int = 400) -> str:
    assert (answer.status_code, list(answer.json())) == (status, [key]), answer.text
    return str(answer.json()[key])


def parts(*contents: dict[str, Any]) -> dict[str, Any]:
    return {"inputs": [{"content": [part]} for part in contents], "truncation": True}


def test_voyage_s_texts_and_images() -> None:
    service = image_service()
    image = good(service.post("/embed/image", json={"images": [PNG]}))["embeddings"][0]
    body = parts(
        {"type": "text", "text": "abc"},
        {"type": "image_base64", "image_base64": URI},
        {"type": "image_url", "image_url": URI},
    )
    answer = good(service.post(MULTIMODAL, json=body | {"model": "pictures", "input_type": "document"}))
    assert [one["embedding"] for one in answer["data"]] == [UNIT, image, image]
    assert (answer["object"], answer["model"]) == ("list", "makers/pictures")
    assert answer["usage"] == {"text_tokens": 1, "image_pixels": 0, "video_pixels": 0, "total_tokens": 1}
    for field in ("encoding_format", "output_encoding"):
        coded = good(service.post(MULTIMODAL, json=body | {"model": "pictures", field: "base64"}))["data"][1]
        assert np.frombuffer(base64.b64decode(coded["embedding"]), "<f4").tolist() == pytest.approx(image)
    levels = good(service.post(MULTIMODAL, json=body | {"model": "pictures", "output_dtype": "uint8"}))
    right = good(service.post("/embed/image", json={"images": [PNG], "outputType": "uint8"}))["embeddings"][0]
    assert levels["data"][1]["embedding"] == right


def test_voyage_s_texts_without_images() -> None:
    answer = good(Service().post(MULTIMODAL, json=parts({"text": "abc"}) | {"output_dimension": 2}))
    assert (answer["data"][0]["embedding"], answer["model"]) == (pytest.approx([0.6, 0.8]), MODEL)


@pytest.mark.parametrize(
    "contents", [[{"text": "abc"}], [{"image_base64": URI}], [{"text": "abc"}, {"image_base64": URI}]]
)
def test_voyage_s_texts_are_in_the_space_of_its_images(contents: list[dict[str, Any]]) -> None:
    assert good(image_service().post(MULTIMODAL, json=parts(*contents)))["model"] == "makers/pictures"
    found = image_service().post(MULTIMODAL, json=parts(*contents) | {"model": MODEL})
    assert (found.status_code == 200) == ("image_base64" not in contents[-1])


@pytest.mark.parametrize(
    ("fields", "status", "said"),
    [
        ({"inputs": []}, 400, "`inputs` must be a list of {content} objects; not empty."),
        ({"inputs": [["abc"]]}, 400, "`inputs.0.content` must be a list of one"),
        ({"inputs": [{"content": [{"type": "video_url", "video_url": "a"}]}]}, 400, "`inputs.0.content.0` must be"),
        (parts({"text": "a"}, {"text": LONG}) | {"truncation": False}, 400, "`inputs.1` must have at most 8 tokens"),
        (parts({"text": "a"}) | {"output_dimension": 4}, 400, "`output_dimension` is 4"),
        (parts({"text": "a"}) | {"output_dtype": "binary"}, 400, "binary needs a multiple of 8"),
        (parts({"text": "a"}) | {"model": "no"}, 404, "No text model named 'no'"),
        (parts({"image_base64": URI}), 404, "No image model"),
    ],
)
def test_voyage_s_errors(fields: dict[str, Any], status: int, said: str) -> None:
    assert refused(Service().post(MULTIMODAL, json=fields), "detail", status).startswith(said)


def test_weaviate_s_vectors() -> None:
    encoder = FakeEncoder()
    encoder.state = ModelState(MODEL, "ready", info_of(prompts={"query": "q: ", "passage": "p: "}, pooling=("mean",)))
    service = Service(encoder)
    for task in (None, "query", "passage"):
        config = {"pooling_strategy": "masked_mean", "task_type": task}
        body = good(service.post("/vectors", json={"text": "abc", "config": config}))
        assert (body["text"], len(body["vector"]), body["dim"]) == ("abc", 3, 3)
    assert encoder.calls == [["abc"], ["q: abc"], ["p: abc"]]
    assert good(service.post("/vectors", json={"text": "abc"}))["vector"] == UNIT
    # As Weaviate sends it: with the fields of its answer.
    config = {"pooling_strategy": "masked_mean", "task_type": "passage"}
    own = {"text": "abc", "dims": 0, "vector": None, "error": "", "config": config}
    assert good(service.post("/vectors", json=own))["dim"] == 3
    assert service.post("/vectors", json=own | {"dims": 2}).status_code == 400
    short = good(service.post("/vectors", json={"text": "abc", "config": {"dimensions": 2}}))
    assert (short["vector"], short["dim"]) == (pytest.approx([0.6, 0.8]), 2)
    cls = {"text": "abc", "config": {"pooling_strategy": "cls"}}
    assert "does not pool by cls" in refused(service.post("/vectors", json=cls), "error")
    encoder.state = replace(encoder.state, info=info_of(pooling=("cls",)))
    assert good(service.post("/vectors", json=cls))["vector"] == UNIT


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "`text` is missing"),
        ({"text": ""}, "`text` must not be empty."),
        ({"text": "a", "config": {"pooling_strategy": "max"}}, "`pooling_strategy`"),
        ({"text": "a", "config": {"task_type": "no"}}, "`task_type`"),
        ({"text": "a", "config": {"dimensions": 4}}, "`dimensions` is 4"),
        ({"text": "a", "config": {"instruction": "b"}}, "`instruction` is not supported"),
        ({"text": "a", "normalise": 1}, "`normalise` is not supported"),
    ],
)
def test_weaviate_s_errors(body: dict[str, Any], said: str) -> None:
    assert refused(Service().post("/vectors", json=body), "error").startswith(said)


def test_weaviate_s_clip() -> None:
    service = image_service()
    image = good(service.post("/embed/image", json={"images": [PNG]}))["embeddings"][0]
    assert good(service.post("/vectorize", json={"texts": ["abc"], "images": [PNG, PNG]})) == {
        "textVectors": [UNIT],
        "imageVectors": [image, image],
    }
    # Texts alone are of the image model as well: they are compared with images.
    assert good(service.post("/vectorize", json={"texts": ["abc"], "images": []}))["imageVectors"] == []
    texts = next(iter(service.embeddings.encoders.values()))
    assert isinstance(texts, FakeEncoder)
    assert texts.calls == []
    assert refused(service.post("/vectorize", json={}), "error") == "Send `texts` or `images`; not empty."
    for wrong, name in ({"texts": ["a"], "images": [PNG, "no image"]}, "images.1"), ({"texts": ["a", ""]}, "texts.1"):
        assert f"`{name}`" in refused(service.post("/vectorize", json=wrong), "error") or name == "images.1"
    assert "No image model" in refused(Service().post("/vectorize", json={"texts": ["a"]}), "error", 404)


def test_weaviate_s_meta() -> None:
    assert good(image_service().get("/meta"))["models"].items() >= {"text": MODEL, "image": "makers/pictures"}.items()


def test_infinity_s_classify() -> None:
    service = Service(FakeReranker("makers/moods", ("calm", "glad"), "Identity"))
    body = good(service.post("/classify", json={"input": ["a b", "a"], "raw_scores": True, "user": "me"}))
    assert body["data"] == [
        [{"score": 4.0, "label": "glad"}, {"score": 2.0, "label": "calm"}],
        [{"score": 2.0, "label": "glad"}, {"score": 1.0, "label": "calm"}],
    ]
    assert (body["object"], body["model"], body["usage"]["total_tokens"]) == ("classify", "makers/moods", 3)
    predicted = good(service.post("/predict", json={"inputs": "a b"}))
    [one] = good(service.post("/classify", json={"input": "a b"}))["data"]
    assert one == predicted
    assert sum(label["score"] for label in one) == pytest.approx(1)
    answer = service.post("/classify", json={"input": ["a", ""]})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "input.1")


@pytest.mark.parametrize("path", ["/v1/health/live", "/.well-known/live"])
def test_live(path: str) -> None:
    assert good(Service().get(path)) == {"status": "alive"}


@pytest.mark.parametrize("path", ["/v1/health/ready", "/.well-known/ready"])
def test_ready(path: str) -> None:
    assert good(Service().get(path)) == {"status": "ready"}
    encoder = FakeEncoder()
    encoder.state = ModelState(MODEL, "loading")
    answer = Service(encoder).get(path)
    assert (answer.status_code, answer.json()) == (503, {"status": "starting"})


def test_what_changes_nothing_is_ignored_and_named() -> None:
    answer = Service().post("/vectors", json={"text": "abc", "id": 5, "config": {"x": 1}})
    assert (answer.status_code, answer.headers[IGNORED_HEADER]) == (200, "id, x")


@pytest.mark.parametrize("given", [[1, 2, 3], [[1, 2], [3]], 5])
def test_images_are_strings(given: Any) -> None:
    answer = image_service().post("/v1/embeddings", json={"input": given, "modality": "image"})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "input")
