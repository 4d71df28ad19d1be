"""Cohere's embed API: several types in one answer, texts, images and inputs, tasks, truncation, errors."""

import base64
from dataclasses import replace
from typing import Any

import httpx
import numpy as np
import pytest

from app.api.routes import PNG
from app.schemas.compatibility import IGNORED_HEADER
from tests.support.calling import Service, good, image_service
from tests.support.service_fakes import FakeEncoder, info_of, wide_encoder

BOTH = pytest.mark.parametrize("path", ["/v1/embed", "/v2/embed"])
TEXTS = ["abc", "abcde"]
LONG = " ".join("a" * 9)  # nine tokens, where eight are read
URI = f"data:image/png;base64,{PNG}"


def refused(answer: httpx.Response, status: int = 400) -> str:
    assert (answer.status_code, list(answer.json())) == (status, ["id", "message"]), answer.text
    assert answer.json()["id"] == answer.headers["x-request-id"]
    return str(answer.json()["message"])


def prompted(**prompts: str) -> Service:
    encoder = FakeEncoder()
    encoder.state = replace(encoder.state, info=info_of(prompts=prompts))
    return Service(encoder)


def test_version_1_without_types_is_a_list_of_vectors() -> None:
    answer = Service().post("/v1/embed", json={"texts": TEXTS}, headers={"x-request-id": "mine-1"})
    assert good(answer) == {
        "response_type": "embeddings_floats",
        "id": "mine-1",
        "embeddings": [pytest.approx([0.6, 0.8, 0]), pytest.approx([5 / 41**0.5, 4 / 41**0.5, 0])],
        "texts": TEXTS,
        "meta": {"api_version": {"version": "1"}, "billed_units": {"input_tokens": 2, "images": 0}},
        "model": "makers/small-model",
    }


@BOTH
def test_all_types_in_one_answer(path: str) -> None:
    types = ["float", "int8", "uint8", "binary", "ubinary", "base64"]
    service = Service(wide_encoder())
    body = good(service.post(path, json={"texts": TEXTS, "embedding_types": types}))
    found = body["embeddings"]
    assert (body["response_type"], list(found)) == ("embeddings_by_type", types)
    for kind in ("int8", "uint8", "binary", "ubinary"):
        native = good(service.post("/embed/text", json={"texts": TEXTS, "outputType": kind}))
        assert found[kind] == native["embeddings"]
        assert body["range"] == native.get("range", body["range"])
    assert found["float"] == good(service.post("/embed/text", json={"texts": TEXTS}))["embeddings"]
    rows = [np.frombuffer(base64.b64decode(row), "<f4") for row in found["base64"]]
    assert np.array_equal(rows, np.array(found["float"], np.float32))
    plain = good(service.post("/v2/embed", json={"texts": TEXTS}))
    assert (list(plain["embeddings"]), "range" in plain) == (["float"], False)


@pytest.mark.parametrize(
    "fields", [{"images": [URI]}, {"inputs": [{"content": [{"type": "image_url", "image_url": {"url": URI}}]}]}]
)
def test_images(fields: dict[str, Any]) -> None:
    native = good(image_service().post("/embed/image", json={"images": [URI]}))
    body = good(image_service().post("/v2/embed", json={**fields, "input_type": "image", "model": "pictures"}))
    assert body["embeddings"] == {"float": native["embeddings"]}
    assert (body["model"], body["texts"]) == ("makers/pictures", [])
    assert body["meta"]["billed_units"] == {"input_tokens": 1, "images": 1}


def test_inputs_of_both_kinds_keep_their_order() -> None:
    parts: list[dict[str, Any]] = [{"type": "text", "text": "abc"}, {"type": "image_url", "image_url": URI}]
    body = good(
        image_service().post("/v2/embed", json={"inputs": [{"content": [part]} for part in (*parts, parts[0])]})
    )
    first, image, last = body["embeddings"]["float"]
    assert (first, body["model"]) == (pytest.approx([0.6, 0.8, 0]), "makers/pictures")
    assert (last == first, image == first) == (True, False)


@pytest.mark.parametrize(
    ("task", "prompts", "read"),
    [
        ("search_query", {"query": "q: ", "document": "d: "}, "q: abc"),
        ("search_document", {"query": "q: ", "passage": "p: "}, "p: abc"),
        ("search_query", {"query": "q: ", "search_query": "s: "}, "s: abc"),
        ("classification", {"query": "q: ", "classification": "c: "}, "c: abc"),
        ("classification", {"Classification": "C: "}, "C: abc"),
        ("clustering", {"separation": "s: "}, "s: abc"),
        ("clustering", {"query": "q: "}, "abc"),
        ("image", {"query": "q: "}, "abc"),
    ],
)
@BOTH
def test_input_types_choose_the_model_s_prompts(path: str, task: str, prompts: dict[str, str], read: str) -> None:
    service = prompted(**prompts)
    good(service.post(path, json={"texts": ["abc"], "input_type": task}))
    [encoder] = service.embeddings.encoders.values()
    assert isinstance(encoder, FakeEncoder)
    assert encoder.calls == [[read]]


@BOTH
def test_truncate(path: str) -> None:
    for truncate in (None, "END", "START"):
        good(Service().post(path, json={"texts": ["abc", LONG], "truncate": truncate}))
    message = refused(Service().post(path, json={"texts": ["abc", LONG], "truncate": "NONE"}))
    assert message == "`texts.1` must have at most 8 tokens; set `truncate` to END or START to truncate it."
    good(Service().post(path, json={"texts": ["abc"], "truncate": "NONE"}))


def test_start_cuts_the_start() -> None:
    service = Service()
    for truncate in ("END", "START"):
        good(service.post("/v2/embed", json={"texts": ["abc"], "truncate": truncate}))
    [encoder] = service.embeddings.encoders.values()
    # Another side is another key: nothing came from the cache.
    assert isinstance(encoder, FakeEncoder)
    assert encoder.calls == [["abc"], ["abc"]]


@BOTH
def test_dimensions_are_cut_and_said(path: str) -> None:
    body = good(Service().post(path, json={"texts": ["abc"], "output_dimension": 2, "embedding_types": ["float"]}))
    assert body["embeddings"]["float"] == [pytest.approx([0.6, 0.8])]
    assert "with 2 of 3 dimensions" in body["meta"]["warnings"][0]
    message = refused(Service().post(path, json={"texts": ["abc"], "output_dimension": 4}))
    assert message.startswith("`output_dimension` is 4, but vectors of makers/small-model have 3")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "Send one of `texts`, `images` and `inputs`."),
        ({"texts": ["a"], "images": [URI]}, "Send one of"),
        ({"texts": []}, "`texts` must not be empty."),
        ({"texts": [""]}, "`texts.0` must not be empty."),
        ({"texts": "a"}, "`texts` must be a list"),
        ({"texts": ["a"], "input_type": "summary"}, "`input_type`: Input should be 'query'"),
        ({"texts": ["a"], "embedding_types": ["fp8"]}, "`embedding_types.0`"),
        ({"texts": ["a"], "embedding_types": ["binary"]}, "binary needs a multiple of 8 dimensions, not 3."),
        ({"texts": ["a"], "truncate": "MIDDLE"}, "`truncate`"),
        ({"texts": ["a b c"], "max_tokens": 2}, "`texts.0` has 3 tokens; shorten it: `max_tokens` is not supported."),
        ({"texts": ["a"], "compress": "pq", "normalise": False}, "`normalise` is not supported"),
        ({"inputs": [{"content": []}]}, "`inputs.0.content` must be a list of one"),
        ({"inputs": [{"content": [{"type": "text", "text": "a"}] * 2}]}, "no model here makes one vector of several"),
        ({"inputs": [{"content": [{"type": "audio", "audio": "a"}]}]}, "`inputs.0.content.0` must be"),
        ({"inputs": [{"texts": "a"}]}, "`inputs.0.content`"),
        ({"inputs": "a"}, "`inputs` must be a list of {content} objects"),
        ({"images": [URI]}, "No image model is served here"),
    ],
)
@BOTH
def test_errors_have_cohere_s_form(path: str, fields: dict[str, Any], said: str) -> None:
    answer = Service().post(path, json=fields)
    assert said in refused(answer, 404 if "No image" in said else 400)


def test_what_changes_nothing_is_ignored_and_named() -> None:
    answer = Service().post("/v2/embed", json={"texts": ["a"], "priority": 3, "max_tokens": 8})
    assert (answer.status_code, answer.headers[IGNORED_HEADER]) == (200, "priority")


def test_rerank_has_its_errors_too() -> None:
    body = {"query": "a", "documents": []}
    assert "`documents` must be a list" in refused(Service().post("/v2/rerank", json=body))
