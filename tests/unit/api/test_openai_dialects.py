"""What the clients of Voyage, Jina, NIM and Infinity send to OpenAI's route, and what frameworks add to it."""

import base64
from dataclasses import replace
from typing import Any

import httpx
import numpy as np
import pytest

from app.api.routes import PNG
from app.schemas.compatibility import IGNORED_HEADER
from tests.support.calling import Service, image_service
from tests.support.service_fakes import MODEL, FakeEncoder, info_of, wide_encoder

PATH = "/v1/embeddings"
LONG = " ".join("a" * 9)  # nine tokens, where eight are read
UNIT = [0.6, 0.8, 0]  # of "abc"


def embed(service: Service | None = None, **fields: Any) -> httpx.Response:
    return (service or Service()).post(PATH, json={"model": MODEL, "input": ["abc"]} | fields)


def vector(answer: httpx.Response) -> Any:
    assert answer.status_code == 200, answer.text
    assert IGNORED_HEADER not in answer.headers
    return answer.json()["data"][0]["embedding"]


def message(answer: httpx.Response) -> str:
    assert answer.status_code == 400, answer.text
    return str(answer.json()["error"]["message"])


def prompted(**prompts: str) -> tuple[Service, FakeEncoder]:
    encoder = FakeEncoder()
    encoder.state = replace(encoder.state, info=info_of(prompts=prompts))
    return Service(encoder), encoder


@pytest.mark.parametrize("field", ["dimensions", "output_dimension"])
def test_dimensions_under_both_names(field: str) -> None:
    assert vector(embed(None, **{field: 2})) == pytest.approx([0.6, 0.8])
    assert message(embed(None, **{field: 4})).startswith(f"`{field}` is 4, but")
    assert message(embed(dimensions=2, output_dimension=3)) == (
        "`dimensions` and `output_dimension` differ: send one of them."
    )
    assert vector(embed(dimensions=2, output_dimension=2)) == pytest.approx([0.6, 0.8])


@pytest.mark.parametrize("kind", ["int8", "uint8", "binary", "ubinary"])
def test_types_under_both_names_and_in_base64(kind: str) -> None:
    service = Service(wide_encoder())
    right = service.post("/embed/text", json={"texts": ["abc"], "outputType": kind}).json()["embeddings"][0]
    for field in ("output_dtype", "embedding_type"):
        assert vector(embed(service, **{field: kind})) == right
    coded = vector(embed(service, output_dtype=kind, encoding_format="base64"))
    numbers = np.frombuffer(base64.b64decode(coded), np.uint8 if kind.startswith("u") else np.int8)
    assert numbers.tolist() == right


def test_float_is_float32_and_base64_is_of_it() -> None:
    for fields in ({"output_dtype": "float"}, {"embedding_type": "float"}, {"embedding_type": ["float"]}):
        answer = embed(**fields)
        assert (vector(answer), "output_dtype" in answer.json()) == (pytest.approx(UNIT), False)
    coded = vector(embed(embedding_type="base64"))
    assert np.frombuffer(base64.b64decode(coded), "<f4").tolist() == pytest.approx(UNIT)
    assert message(embed(output_dtype="int8", embedding_type="binary")).startswith("`output_dtype` and")
    assert "needs a multiple of 8 dimensions" in message(embed(embedding_type="binary"))
    assert embed(embedding_type="binary").json()["error"]["param"] == "embedding_type"
    assert "Input should be 'float'" in message(embed(embedding_type=["float", "int8"]))


def test_normalized_false_is_the_model_s_own_output() -> None:
    assert vector(embed(normalized=False)) == [3, 4, 0]
    assert "needs vectors of length 1" in message(embed(normalized=False, output_dtype="int8"))


@pytest.mark.parametrize(
    ("fields", "read"),
    [
        ({"input_type": "query"}, "q: abc"),
        ({"input_type": "passage"}, "d: abc"),
        ({"input_type": "document"}, "d: abc"),
        ({"task": "retrieval.query"}, "q: abc"),
        ({"task": "retrieval.passage"}, "d: abc"),
        ({"task": "code.query"}, "q: abc"),
        ({"task": "text-matching"}, "t: abc"),
        ({"task": "separation"}, "s: abc"),
        ({"input_type": "clustering"}, "s: abc"),
        ({"task": "classification"}, "abc"),
        ({"model": f"{MODEL}-query"}, "q: abc"),
        ({"model": "small-model-passage"}, "d: abc"),
        ({"model": f"{MODEL}-query", "input_type": "search_query"}, "q: abc"),
    ],
)
def test_tasks_and_suffixes_choose_the_model_s_prompts(fields: dict[str, str], read: str) -> None:
    prompts = {"query": "q: ", "document": "d: ", "text-matching": "t: ", "separation": "s: "}
    service, encoder = prompted(**prompts)
    assert embed(service, **fields).json()["model"] == MODEL
    assert encoder.calls == [[read]]


def test_a_task_s_own_name_goes_first() -> None:
    service, encoder = prompted(**{"query": "q: ", "code.query": "c: ", "passage": "p: ", "document": "d: "})
    for task in ("code.query", "passage", "document"):
        embed(service, task=task)
    assert encoder.calls == [["c: abc"], ["p: abc"], ["d: abc"]]


def test_tasks_take_a_router_s_ways() -> None:
    encoder = FakeEncoder()
    encoder.state = replace(encoder.state, info=info_of(routes={"query": "of queries"}))
    for task in ("search_query", "retrieval.query", "passage"):
        embed(Service(encoder), input_type=task)
    assert encoder.calls == [["queryabc"], ["queryabc"], ["abc"]]


def test_suffixes_that_are_wrong() -> None:
    service, encoder = prompted(query="q: ")
    answer = embed(service, model=f"{MODEL}-query", input_type="passage")
    assert message(answer) == "`input_type` is passage, but `model` ends in -query."
    assert embed(service, model="other-query").status_code == 404
    assert embed(service, model=f"{MODEL}-document").status_code == 404
    assert message(embed(service, input_type="query", task="retrieval.passage")).startswith("`input_type` and `task`")
    assert encoder.calls == []


def test_a_model_whose_name_ends_like_a_suffix_is_itself() -> None:
    both = FakeEncoder("makers/small"), FakeEncoder("makers/small-query")
    assert embed(Service(*both), model="small-query").json()["model"] == "makers/small-query"


def test_token_ids_have_no_prompts() -> None:
    service, _ = prompted(query="q: ")
    for fields in ({"input_type": "query"}, {"prompt_name": "query"}, {"model": f"{MODEL}-query"}):
        assert "needs texts, not token ids" in message(embed(service, input=[[1, 2]], **fields))
    assert embed(service, input=[[1, 2]], input_type="passage").status_code == 200


@pytest.mark.parametrize("fields", [{"truncate": "NONE"}, {"truncate": "none"}, {"truncate": False}])
def test_truncation_can_be_forbidden(fields: dict[str, Any]) -> None:
    said = "must have at most 8 tokens; set `truncate` to END or START to truncate it."
    assert message(embed(input=["abc", LONG], **fields)) == f"`input.1` {said}"
    assert message(embed(input=LONG, **fields)) == f"`input` {said}"
    assert vector(embed(**fields)) == pytest.approx(UNIT)


@pytest.mark.parametrize(
    "fields",
    [{}, {"truncate": "END"}, {"truncate": "START"}, {"truncate": True}, {"truncate": "end"}, {"truncation": True}],
)
def test_truncation_is_allowed(fields: dict[str, Any]) -> None:
    assert embed(input=LONG, **fields).status_code == 200


@pytest.mark.parametrize("truncate", [0, 1, 0.0, 1.0, 2, "", "yes", "TRUE", "right", [], [True], {}])
def test_truncate_is_true_false_or_one_of_three_words(truncate: Any) -> None:
    bodies: dict[str, dict[str, Any]] = {
        "/v1/embeddings": {"input": "a"},
        "/embeddings": {"input": "a"},
        "/v1/embed": {"texts": ["a"]},
        "/v2/embed": {"texts": ["a"]},
        "/v1/rerank": {"query": "a", "documents": ["b"]},
        "/v2/rerank": {"query": "a", "documents": ["b"]},
    }
    for path, body in bodies.items():
        answer = Service().post(path, json=body | {"truncate": truncate})
        assert (path, answer.status_code) == (path, 400), answer.text
        assert "truncate" in answer.text


def test_start_is_another_key() -> None:
    service, encoder = prompted()
    for truncate in ("END", "START", "start"):
        embed(service, truncate=truncate)
    assert encoder.calls == [["abc"], ["abc"]]


def test_voyage_reads_errors_in_its_own_form() -> None:
    for fields in ({"truncation": False, "input": LONG}, {"truncation": True, "output_dimension": 0}):
        answer = embed(**fields)
        assert (answer.status_code, list(answer.json())) == (400, ["detail"])
    assert list(embed(truncation=True, model="no").json()) == ["detail"]
    # A text that names the field is no client of Voyage's.
    assert list(embed(input='"truncation":', model="no").json()) == ["error"]


@pytest.mark.parametrize("path", [PATH, "/embeddings"])
@pytest.mark.parametrize("key", ["image", "bytes"])
def test_images_as_jina_and_infinity_send_them(path: str, key: str) -> None:
    service = image_service()
    right = service.post("/embed/image", json={"images": [PNG]}).json()["embeddings"][0]
    for fields in (
        {"input": [{key: PNG}]},
        {"input": [{"url": f"data:image/png;base64,{PNG}"}]},
        {"input": [PNG], "modality": "image"},
        {"input": PNG, "modality": "image"},
    ):
        answer = service.post(path, json={"model": "pictures", **fields})
        assert vector(answer) == right
    mixed = service.post(path, json={"model": "pictures", "input": [{key: PNG}, {"text": "abc"}]}).json()["data"]
    assert (mixed[0]["embedding"], mixed[1]["embedding"]) == (right, pytest.approx(UNIT))
    assert "`input.1`" in message(service.post(path, json={"input": [PNG, 5], "modality": "image"}))
    assert "`input` must be an image or" in message(service.post(path, json={"input": 5, "modality": "image"}))
    assert "'text' or 'image'" in message(service.post(path, json={"input": PNG, "modality": "audio"}))


@pytest.mark.parametrize(
    ("fields", "ignored"),
    [
        # LiteLLM, Dify and RAGFlow, as they send it.
        (
            {"user": "u", "metadata": {"a": 1}, "drop_params": True, "timeout": 600},
            "user, metadata, drop_params, timeout",
        ),
        ({"encoding_format": "float", "input_type": "document"}, ""),
        ({"drop_params": True}, "drop_params"),
        ({"dimensions": None, "encoding_format": None, "extra_headers": {}}, "extra_headers"),
    ],
)
def test_what_frameworks_add(fields: dict[str, Any], ignored: str) -> None:
    answer = embed(**fields)
    assert (answer.status_code, answer.headers.get(IGNORED_HEADER, "")) == (200, ignored)


def test_infinity_s_models() -> None:
    service = Service()
    assert service.get("/models").json() == service.get("/v1/models").json()
