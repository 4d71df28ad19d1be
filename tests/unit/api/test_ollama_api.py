"""Ollama's API: embeddings old and new, the list of models, and what one is."""

from typing import Any

import httpx
import pytest

from app.schemas.compatibility import IGNORED_HEADER
from tests.support.calling import Service, good
from tests.support.service_fakes import MODEL, FakeEncoder, FakeReranker, FakeSparseEncoder, FakeTokenEncoder

LONG = " ".join("a" * 9)  # nine tokens, where eight are read
UNIT = pytest.approx([0.6, 0.8, 0])  # of "abc"


def refused(answer: httpx.Response, status: int = 400) -> str:
    assert (answer.status_code, list(answer.json())) == (status, ["error"]), answer.text
    return str(answer.json()["error"])


@pytest.mark.parametrize("given", ["abc", ["abc"]])
def test_embed(given: Any) -> None:
    body = good(Service().post("/api/embed", json={"model": "small-model:latest", "input": given}))
    assert body.pop("total_duration") > 0
    assert body == {"model": MODEL, "embeddings": [UNIT], "load_duration": 0, "prompt_eval_count": 1}


def test_several_keep_their_order() -> None:
    body = good(Service().post("/api/embed", json={"input": ["abcde", "abc", "abcde"]}))
    first, second, third = body["embeddings"]
    assert (first == third, second, body["prompt_eval_count"]) == (True, UNIT, 3)


def test_the_older_route_has_one() -> None:
    assert good(Service().post("/api/embeddings", json={"model": MODEL, "prompt": "abc"})) == {"embedding": UNIT}
    assert refused(Service().post("/api/embeddings", json={"prompt": ""})) == "`prompt` must not be empty."
    body = {"prompt": "a b", "options": {"num_ctx": 1}}
    assert refused(Service().post("/api/embeddings", json=body)).startswith("`prompt` has 2 tokens; shorten it")


def test_truncate_and_dimensions() -> None:
    post = Service().post
    assert good(post("/api/embed", json={"input": "abc", "dimensions": 2}))["embeddings"] == [pytest.approx([0.6, 0.8])]
    assert refused(post("/api/embed", json={"input": "abc", "dimensions": 4})).startswith("`dimensions` is 4")
    for truncate in (None, True):
        good(post("/api/embed", json={"input": LONG, "truncate": truncate}))
    said = "must have at most 8 tokens; set `truncate` to true to truncate it."
    assert refused(post("/api/embed", json={"input": LONG, "truncate": False})) == f"`input` {said}"
    assert refused(post("/api/embed", json={"input": ["a", LONG], "truncate": False})) == f"`input.1` {said}"


def test_options_count_as_fields() -> None:
    post = Service().post
    inert = {"temperature": 0.1, "num_gpu": 1, "num_thread": None, "top_k": 4, "use_mmap": True, "stop": ["a"]}
    answer = post("/api/embed", json={"input": "abc", "keep_alive": "5m", "options": inert | {"num_ctx": 8}})
    assert good(answer)["embeddings"] == [UNIT]
    assert answer.headers[IGNORED_HEADER] == "keep_alive, temperature, num_gpu, top_k, use_mmap, stop"
    assert IGNORED_HEADER not in post("/api/embed", json={"input": "abc", "options": {}}).headers
    assert refused(post("/api/embed", json={"input": "a b", "options": {"num_ctx": 1}})) == (
        "`input` has 2 tokens; shorten it: `num_ctx` is not supported."
    )
    body = {"input": "abc", "dimensions": 2, "options": {"dimensions": 3}}
    assert refused(post("/api/embed", json=body)).startswith("`dimensions` and `options.dimensions` differ")
    assert refused(post("/api/embed", json={"input": LONG, "options": {"truncate": False}})).startswith("`input` must")
    assert "`embedding_type`" in refused(post("/api/embed", json={"input": "a", "options": {"embedding_type": "int8"}}))
    assert refused(post("/api/embed", json={"input": "a", "options": 5})).startswith("`options`")


@pytest.mark.parametrize(
    ("fields", "status", "said"),
    [
        ({}, 400, "`input` is missing"),
        ({"input": []}, 400, "`input` must be a string or a list of strings; not empty."),
        ({"input": [1, 2]}, 400, "`input` must be a string or a list of strings."),
        ({"input": ["a", 5]}, 400, "`input.1` must be a string"),
        ({"input": "a", "model": "no"}, 404, "No text model named 'no'"),
    ],
)
def test_errors_are_ollamas(fields: dict[str, Any], status: int, said: str) -> None:
    assert refused(Service().post("/api/embed", json=fields), status).startswith(said)
    assert refused(Service().get("/api/generate"), 404).startswith("There is no route /api/generate")


def test_the_models_and_what_one_is() -> None:
    service = Service(FakeEncoder(), FakeEncoder("makers/pictures", ("image",)), FakeReranker())
    listed = good(service.get("/api/tags"))["models"]
    assert [(one["name"], one["details"]["family"]) for one in listed] == [
        (MODEL, "text"),
        ("makers/pictures", "image"),
        ("makers/reranker", "rerank"),
    ]
    assert listed[0] == {
        "name": MODEL,
        "model": MODEL,
        "modified_at": listed[0]["modified_at"],
        "digest": f"print of {MODEL}",
        "size": 0,
        "details": {"format": "fake", "family": "text", "quantization_level": "f32"},
    }
    for body in (
        {"model": "small-model:latest"},
        {"name": MODEL},
    ):
        shown = good(service.post("/api/show", json=body))
        assert shown["capabilities"] == ["embedding"]
        assert shown["model_info"] == {
            "general.architecture": "text",
            "text.embedding_length": 3,
            "text.context_length": 8,
            "general.basename": MODEL,
        }
        assert shown["details"] == listed[0]["details"]
    assert good(service.post("/api/show", json={"model": "pictures"}))["details"]["family"] == "image"
    assert good(service.post("/api/show", json={"model": "reranker"}))["capabilities"] == ["rerank"]
    assert refused(service.post("/api/show", json={"model": "no"}), 404).startswith("No text model named 'no'")


def test_what_its_command_line_sends() -> None:
    """Go writes fields that were not set."""
    body = {"model": "", "system": "", "template": "", "verbose": False, "options": None, "name": MODEL}
    assert good(Service().post("/api/show", json=body))["model_info"]
    assert "`template`" in refused(Service().post("/api/show", json=body | {"template": "x"}))


def test_what_is_listed_can_be_shown() -> None:
    service = Service(FakeEncoder(), FakeSparseEncoder(), FakeTokenEncoder(), FakeReranker())
    names = [one["name"] for one in good(service.get("/api/tags"))["models"]]
    assert len(names) == 4
    for name in names:
        assert good(service.post("/api/show", json={"model": name}))["details"]


def test_what_is_shown_is_named() -> None:
    for body in ({}, {"model": ""}, {"nothing": "of it"}):
        assert refused(Service().post("/api/show", json=body)) == "`model` is missing."
