from dataclasses import replace
from typing import Any

import httpx
import pytest

from app.config.args import ModelArgs
from app.errors import Overloaded, RequestRejected
from app.service.encoder import ModelState
from app.types import Prompted
from tests.support.calling import Service
from tests.support.service_fakes import MODEL, FakeEncoder, info_of

LONG = "word " * 9


def model(**about: Any) -> FakeEncoder:
    """The fake makes [length, 4, 0] of a text, and reads 8 words of it."""
    encoder = FakeEncoder()
    assert encoder.state.info is not None
    encoder.state = replace(encoder.state, info=replace(encoder.state.info, **about))
    return encoder


def embed(
    inputs: Any,
    encoder: FakeEncoder | None = None,
    path: str = "/embed",
    service: Service | None = None,
    **fields: Any,
) -> httpx.Response:
    service = service or Service(encoder or FakeEncoder(), texts=20, text_bytes=100)
    return service.post(path, json={"inputs": inputs} | fields)


@pytest.mark.parametrize("path", ["/embed", "/"])
def test_bare_vectors_of_length_one(path: str) -> None:
    answer = embed(["abc", "abc"], path=path)
    assert answer.json() == [pytest.approx([0.6, 0.8, 0]), pytest.approx([0.6, 0.8, 0])]
    assert embed("abc", path=path).json() == answer.json()[:1]
    assert answer.headers["server-timing"].startswith("decode")


def test_tei_embed_options() -> None:
    assert embed("abc", normalize=False).json() == [[3, 4, 0]]
    assert embed("abc", normalize=False, dimensions=1).json() == [[3]]
    assert embed("abc", dimensions=1).json() == [[1]]
    assert embed("abc", dimensions=3, model="small-model").json() == [[pytest.approx(0.6), pytest.approx(0.8), 0]]
    encoder = model(prompts={"query": "q: "})
    assert embed("abc", encoder, prompt_name="query", normalize=False).json() == [[6, 4, 0]]
    assert encoder.calls == [["q: abc"]]


def test_a_text_too_long_is_cut_or_refused() -> None:
    for fields in ({}, {"truncate": None}, {"truncate": True}):
        assert len(embed(["a", LONG], **fields).json()) == 2
    assert refused(embed(["a", LONG], truncate=False)) == (
        422,
        "`inputs.1` must have at most 8 tokens; set `truncate` to true to truncate it.",
        "Validation",
    )
    assert refused(embed(LONG, truncate=False))[1].startswith("`inputs` must")


def test_ids_of_the_models_own_tokenizer() -> None:
    encoder = FakeEncoder()
    assert len(embed([1, 22], encoder).json()) == 1
    assert len(embed([[1], [22, 3]], encoder).json()) == 2
    assert encoder.calls == [["1 22"], ["1", "22 3"]]


def refused(answer: httpx.Response) -> tuple[int, str, str]:
    body = answer.json()
    assert list(body) == ["error", "error_type"]
    return answer.status_code, body["error"], body["error_type"]


@pytest.mark.parametrize(
    ("inputs", "fields", "status", "words", "kind"),
    [
        ([], {}, 400, "`inputs` must be a string", "Empty"),
        ("", {}, 400, "`inputs` must not be empty", "Empty"),
        (["a", ""], {}, 400, "`inputs.1` must not be empty", "Empty"),
        (["a", 7], {}, 422, "`inputs.1` must be a string", "Validation"),
        ([{"text": "a"}], {}, 422, "`inputs.0` has an unsupported type", "Validation"),
        (5, {}, 422, "`inputs` must be a string", "Validation"),
        ([[1], "a"], {}, 422, "`inputs.1` must be a list of token ids", "Validation"),
        (["a"] * 21, {}, 422, "at most 20", "Validation"),
        (["a" * 101], {}, 422, "`inputs.0` has 101 bytes", "Validation"),
        ("a", {"truncation_direction": "middle"}, 422, "'left'", "Validation"),
        ("a", {"prompt_name": "no"}, 422, "no prompt 'no'", "Validation"),
        ([1], {"prompt_name": "no"}, 422, "needs texts", "Validation"),
        ("a", {"dimensions": 4}, 422, "have 3", "Validation"),
        ("a", {"dimensions": 0}, 422, "`dimensions`", "Validation"),
        ("a", {"truncat": False}, 422, "Known fields: dimensions", "Validation"),
        ("a", {"model": "no"}, 404, "No text model named 'no'", "Validation"),
    ],
)
def test_validation_errors_in_teis_format(
    inputs: Any, fields: dict[str, Any], status: int, words: str, kind: str
) -> None:
    got, error, error_type = refused(embed(inputs, **fields))
    assert (got, error_type) == (status, kind)
    assert words in error


def test_other_errors_in_teis_format() -> None:
    busy = FakeEncoder()
    busy.faults = {"a": Overloaded("Later.", retry_after=1), "b": RequestRejected("No."), "c": RuntimeError("?")}
    assert refused(embed("a", busy)) == (429, "Later.", "Overloaded")
    assert refused(embed("b", busy)) == (503, "`inputs.0`: No.", "Unhealthy")
    service = Service(text_body=10)
    assert refused(service.post("/embed", json={"inputs": "a" * 10}))[::2] == (413, "Validation")
    assert refused(service.post("/embed", content=b"{"))[::2] == (422, "Validation")
    assert refused(service.get("/embed"))[::2] == (405, "Validation")
    answer = service.post("/embed", content=b"x", headers={"content-type": "text/plain"})
    assert refused(answer)[::2] == (415, "Validation")


def test_an_unknown_failure_is_the_backends(caplog: pytest.LogCaptureFixture) -> None:
    service = Service()
    service.embeddings.cache = None  # type: ignore[assignment]
    assert refused(service.post("/embed", json={"inputs": "a"}))[::2] == (500, "Backend")
    assert len(caplog.records) == 1


def test_tei_info() -> None:
    service = Service(model(revision="abc", precision="bf16", pooling=("cls", "lasttoken")), texts=77)
    args = service.backend.args
    assert service.get("/info").json() == {
        "model_id": MODEL,
        "model_sha": "abc",
        "model_dtype": "bfloat16",
        "served_model_name": MODEL,
        "model_type": {"embedding": {"pooling": "cls+last_token"}},
        "max_concurrent_requests": args.ingress.max_ongoing_requests,
        "max_input_length": 8,
        "max_batch_tokens": args.text_models[0].batch_tokens,
        "max_batch_requests": args.text_models[0].batch_size,
        "max_client_batch_size": 77,
        "auto_truncate": True,
        "tokenization_workers": args.text_models[0].workers,
        "version": "0.1.0",
        "sha": None,
        "docker_label": None,
    }


def tokenize(inputs: Any, **fields: Any) -> httpx.Response:
    service = Service(model(prompts={"query": "q: "}), texts=20, tokenize_body=400)
    return service.post("/tokenize", json={"inputs": inputs} | fields)


def test_tei_tokenize() -> None:
    word = {"id": 2, "text": "to", "special": False, "start": 0, "stop": 2}
    first = {"id": 0, "text": "", "special": True, "start": None, "stop": None}
    assert tokenize("to").json() == [[first, word]]
    assert tokenize(["to", "to to"], add_special_tokens=False).json() == [[word], [word, word]]
    assert tokenize("to", prompt_name="query").json()[0][0]["text"] == "q: "


@pytest.mark.parametrize(
    ("inputs", "fields", "status", "words", "kind"),
    [
        ([], {}, 400, "`inputs` must be", "Empty"),
        ([""], {}, 400, "`inputs.0` must not be empty", "Empty"),
        ([1, 2], {}, 422, "a string or a list of strings", "Validation"),
        (["a"] * 21, {}, 422, "at most 20", "Validation"),
        ("a" * 400, {}, 413, "400 bytes", "Validation"),
        ("a", {"prompt_name": "no"}, 422, "no prompt 'no'", "Validation"),
        ("a", {"add_special_tokens": "yes"}, 422, "boolean", "Validation"),
        ("a", {"model": "no"}, 404, "No text model named 'no'", "Validation"),
    ],
)
def test_what_is_wrong_with_texts_to_tokenize(
    inputs: Any, fields: dict[str, Any], status: int, words: str, kind: str
) -> None:
    got, error, error_type = refused(tokenize(inputs, **fields))
    assert (got, error_type) == (status, kind)
    assert words in error


@pytest.mark.parametrize(
    ("configured", "served"),
    [
        ("models/foo", "models/foo"),
        ("./models/foo/", "foo"),
        ("/srv/models/foo", "foo"),
        ("all-mpnet-base-v2", "sentence-transformers/all-mpnet-base-v2"),
    ],
)
def test_info_of_a_model_under_any_form_of_its_name(configured: str, served: str) -> None:
    args = ModelArgs(id=configured, batch_size=7)
    service = Service(FakeEncoder(args.name), settings={"text_models": (args,)})
    service.embeddings.args = service.backend.args
    answer = service.get("/info")
    assert (answer.status_code, answer.json()["model_id"], answer.json()["max_batch_requests"]) == (200, served, 7)
    for name in (configured, served):
        assert embed("abc", path="/embed", model=name, service=service).status_code == 200, name


def test_options_and_parameters_count_as_fields() -> None:
    service = Service()
    plain = service.post("/embed", json={"inputs": "abc", "normalize": False}).json()
    fields: dict[str, Any]
    for fields in (
        {"options": {}, "normalize": False},  # Weaviate always sends them
        {"parameters": {"normalize": False}},
        {
            "options": {"wait_for_model": True, "use_cache": False},
            "parameters": {"normalize": False, "prompt_name": None},
        },
        {"parameters": {"normalize": False}, "normalize": False},
    ):
        answer = service.post("/embed", json={"inputs": "abc"} | fields)
        assert (answer.status_code, answer.json()) == (200, plain), answer.text
    named = service.post("/embed", json={"inputs": "a", "options": {"wait_for_model": True, "use_gpu": 1}})
    assert named.headers["x-embedding-ignored-fields"] == "wait_for_model, use_gpu"
    long = {"inputs": " ".join("a" * 9), "parameters": {"truncate": False}}
    assert service.post("/embed", json=long).status_code == 422
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"parameters": {"truncation_side": "left"}}, "`truncation_side` is not supported"),
        ({"parameters": {"normalize": True}, "normalize": False}, "`normalize` and `parameters.normalize` differ"),
        ({"parameters": "a"}, "`parameters`"),
        ({"options": {"dimensions": 9}}, "`dimensions` is 9"),
    ]
    for fields, said in wrong:
        answer = service.post("/embed", json={"inputs": "abc"} | fields)
        assert (answer.status_code, said in answer.json()["error"]) == (422, True), answer.text


def test_similarity_of_sentences_is_answered_as_by_tei() -> None:
    service = Service()
    body: dict[str, Any] = {"inputs": {"source_sentence": "abc", "sentences": ["abcd", "abc"]}}
    answer = service.post("/similarity", json=body)
    assert (answer.status_code, answer.json()) == (200, pytest.approx([0.8 * 0.5**0.5 + 0.6 * 0.5**0.5, 1]))
    assert service.ranker.bodies == []
    long = {"source_sentence": "a", "sentences": [" ".join("a" * 9)]}
    wrong = [
        ({"inputs": {"source_sentence": "", "sentences": ["a"]}}, 422, "`inputs.source_sentence` must not be empty."),
        ({"inputs": {"source_sentence": "a", "sentences": []}}, 422, "`inputs.sentences` must not be empty."),
        ({"inputs": {"source_sentence": "a"}}, 422, "`inputs.sentences` is missing."),
        (body | {"parameters": {"prompt_name": "no"}}, 422, "has no prompt 'no'"),
        (body | {"model": "no"}, 404, "No text model named 'no'"),
        (body | {"topK": 1, "dimensions": 2}, 422, "`dimensions` is not supported"),
        ({"inputs": long, "truncate": False}, 422, "`inputs.sentences.0`"),
    ]
    for sent, status, said in wrong:
        answer = service.post("/similarity", json=sent)
        assert (answer.status_code, said in answer.json()["error"]) == (status, True), answer.text
        assert answer.json()["error_type"] == "Validation"
    # What has vectors is ranked as before, and its errors are this service's own.
    assert service.post("/similarity", json={"query": [1], "candidates": [[1]]}).status_code == 200
    assert service.post("/similarity", json={"query": [1]}).json()["error"]["code"] == "invalid_request"


def decode(ids: Any, **fields: Any) -> httpx.Response:
    service = Service(model(), texts=20, tokenize_body=400)
    return service.post("/decode", json={"ids": ids} | fields)


def test_tei_decode() -> None:
    assert decode([0, 8, 9, 0]).json() == ["8 9"]
    assert decode([[8, 9], [0, 1]]).json() == ["8 9", "1"]
    assert decode([0, 1], skip_special_tokens=False).json() == ["0 1"]
    answer = decode([1], user="me")
    assert (answer.status_code, answer.headers["x-embedding-ignored-fields"]) == (200, "user")


@pytest.mark.parametrize(
    ("ids", "fields", "status", "words", "kind"),
    [
        ([], {}, 400, "`ids` must be a list of token ids", "Empty"),
        ([[1], []], {}, 422, "`ids.1` must be a list of token ids", "Validation"),
        (5, {}, 422, "`ids` must be a list of token ids", "Validation"),
        ("abc", {}, 422, "`ids` must be a list of token ids", "Validation"),
        (["a"], {}, 422, "`ids` must be a list of token ids", "Validation"),
        ([{}], {}, 422, "`ids.0` has an unsupported type", "Validation"),
        ([1, -1], {}, 422, "whole numbers from 0", "Validation"),
        ([1, True], {}, 422, "whole numbers from 0", "Validation"),
        ([[1], [1.5]], {}, 422, "`ids.1` must hold token ids only", "Validation"),
        ([1, 10000], {}, 422, "`ids` has the id 10000", "Validation"),
        ([[1], [2**31 - 1]], {}, 422, "`ids.1` has the id 2147483647", "Validation"),
        ([[1]] * 21, {}, 422, "at most 20", "Validation"),
        ([1] * 400, {}, 413, "400 bytes", "Validation"),
        ([1], {"prompt_name": "query"}, 422, "`prompt_name` is not supported", "Validation"),
        ([1], {"model": "no"}, 404, "No text model named 'no'", "Validation"),
    ],
)
def test_what_is_wrong_with_ids_to_decode(ids: Any, fields: dict[str, Any], status: int, words: str, kind: str) -> None:
    got, error, error_type = refused(decode(ids, **fields))
    assert (got, error_type) == (status, kind), error
    assert words in error


def test_a_side_that_is_named_is_cut_there_and_no_other_is_named() -> None:
    left = FakeEncoder()
    left.state = ModelState(MODEL, "ready", info_of(cut="start"))
    for encoder, (own, other) in ((FakeEncoder(), ("right", "left")), (left, ("left", "right"))):
        service = Service(encoder)
        for body in ({}, {"truncation_direction": own}, {"truncation_direction": own.title()}):
            assert service.post("/embed", json={"inputs": "a"} | body).status_code == 200
        assert (len(encoder.inputs), encoder.inputs[0]) == (1, "a"), "one entry of the cache"
        service.post("/embed", json={"inputs": "a", "truncation_direction": other})
        [_, asked] = encoder.inputs
        assert asked == Prompted("a", None, "start" if other == "left" else "end")
        truncate = {"left": "START", "right": "END"}[other]
        service.post("/v1/embeddings", json={"model": MODEL, "input": "a", "truncate": truncate})
        service.post("/v2/embed", json={"texts": ["a"], "truncate": truncate})
        assert len(encoder.inputs) == 2, "the same entry"
