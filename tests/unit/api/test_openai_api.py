import base64
from typing import Any

import httpx
import numpy as np
import pytest

from app.errors import InvalidItem, Overloaded
from app.service.encoder import ModelState
from app.vectors.quantization import quantize
from tests.support.calling import Service
from tests.support.service_fakes import MODEL, FakeEncoder, info_of

ROW = np.array([[0.6, 0.8, 0]], np.float32)
LEVELS_8, LEVELS_U8 = quantize(ROW, "int8")[0].tolist(), quantize(ROW, "uint8")[0].tolist()


def embed(service: Service | None = None, **fields: Any) -> httpx.Response:
    return (service or Service()).post("/v1/embeddings", json={"model": MODEL, "input": "abc"} | fields)


def error_of(answer: httpx.Response) -> dict[str, Any]:
    [(name, error)] = answer.json().items()
    assert name == "error"
    assert set(error) == {"message", "type", "param", "code"}
    return dict(error)


def test_the_answer_is_openais() -> None:
    body = embed(input=["abc", "a b c"], user="me").json()
    [first, second] = body.pop("data")
    assert (first["object"], first["index"], second["index"]) == ("embedding", 0, 1)
    assert first["embedding"] == pytest.approx([0.6, 0.8, 0])
    assert body == {"object": "list", "model": MODEL, "usage": {"prompt_tokens": 4, "total_tokens": 4}}


@pytest.mark.parametrize("given", ["abc", ["abc"], [{"text": "abc"}]])
def test_one_text_in_every_form(given: Any) -> None:
    assert [one["embedding"] for one in embed(input=given).json()["data"]] == [pytest.approx([0.6, 0.8, 0])]


def test_token_ids_reach_the_encoder_and_are_cached() -> None:
    encoder = FakeEncoder()
    service = Service(encoder)
    assert len(embed(service, input=[101, 7592, 102]).json()["data"]) == 1
    assert len(embed(service, input=[[101, 102], [101, 7592, 102]]).json()["data"]) == 2
    assert encoder.calls == [["101 7592 102"], ["101 102"]]


def test_what_the_encoder_says_of_ids_names_the_input() -> None:
    encoder = FakeEncoder()
    encoder.faults["5 6"] = InvalidItem("foreign")
    error = error_of(embed(Service(encoder), input=[[5, 7], [5, 6]]))
    assert (error["message"], error["param"], error["type"]) == ("foreign", "input.1", "invalid_request_error")


def test_base64_is_the_little_endian_float32_vector() -> None:
    [row] = embed(encoding_format="base64").json()["data"]
    assert np.frombuffer(base64.b64decode(row["embedding"]), "<f4").tolist() == pytest.approx([0.6, 0.8, 0])


def test_dimensions_are_cut_and_scaled_and_warned_of() -> None:
    body = embed(dimensions=1).json()
    assert body["data"][0]["embedding"] == [1]
    assert "was not trained for shortened vectors" in body["warning"]
    assert "warning" not in embed(dimensions=3).json()
    error = error_of(embed(dimensions=4))
    assert error["param"] == "dimensions"
    assert error["message"] == f"`dimensions` is 4, but vectors of {MODEL} have 3: ask for at most that."


def test_openai_embeddings_are_quantised() -> None:
    body = embed(output_dtype="int8").json()
    assert body["data"][0]["embedding"] == LEVELS_8
    assert (body["output_dtype"], body["range"]) == ("int8", [-1, 1])
    [row] = embed(output_dtype="uint8", encoding_format="base64").json()["data"]
    assert [*base64.b64decode(row["embedding"])] == LEVELS_U8
    assert error_of(embed(output_dtype="binary"))["param"] == "output_dtype"


@pytest.mark.parametrize(
    ("fields", "status", "param", "code"),
    [
        ({"input": ""}, 400, "input", None),
        ({"input": []}, 400, "input", None),
        ({"input": None}, 400, "input", None),
        ({"input": 5}, 400, "input", None),
        ({"input": ["a", ""]}, 400, "input.1", None),
        ({"input": ["a", 5]}, 400, "input.1", None),
        ({"input": [1, "a"]}, 400, "input", None),
        ({"input": [1, True]}, 400, "input", None),
        ({"input": [-1]}, 400, "input", None),
        ({"input": [2**31]}, 400, "input", None),
        ({"input": [1.5]}, 400, "input.0", None),
        ({"input": [[]]}, 400, "input.0", None),
        ({"input": [[1], "a"]}, 400, "input.1", None),
        ({"input": [{"texts": "a"}]}, 400, "input.0", None),
        ({"input": ["a"] * 5}, 400, "input", None),
        ({"input": [{"image": "x"}]}, 404, "model", "model_not_found"),
        ({"model": "no"}, 404, "model", "model_not_found"),
        ({"encoding_format": "hex"}, 400, "encoding_format", None),
        ({"dimensions": -1}, 400, "dimensions", None),
        ({"prompt_name": "no"}, 400, "prompt_name", None),
        ({"top_tokens": 1}, 400, "top_tokens", None),
    ],
)
def test_errors_are_openais(fields: dict[str, Any], status: int, param: str, code: str | None) -> None:
    answer = embed(Service(texts=4), **fields)
    error = error_of(answer)
    expected = (status, param, "invalid_request_error")
    assert (answer.status_code, error["param"], error["type"]) == expected, error
    assert error["code"] == code


def test_overload_and_unknown_paths() -> None:
    encoder = FakeEncoder()
    encoder.faults["abc"] = Overloaded("full", retry_after=3)
    answer = embed(Service(encoder))
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "3")
    assert (error_of(answer)["type"], error_of(answer)["code"]) == ("rate_limit_error", "rate_limit_exceeded")
    assert error_of(Service().get("/v1/nothing"))["code"] == "not_found"
    encoder.state = ModelState(MODEL, "loading")
    assert error_of(embed(Service(encoder)))["type"] == "server_error"


def test_models_and_aliases() -> None:
    service = Service()
    aliases = {"text-embedding-3-small": "small-model", "other": "nobody"}
    object.__setattr__(service.backend.args, "model_aliases", aliases)
    listed = service.get("/v1/models").json()
    assert [(one["id"], one["owned_by"], one["object"]) for one in listed["data"]] == [
        (MODEL, "makers", "model"),
        ("text-embedding-3-small", MODEL, "model"),
    ]
    assert service.get(f"/v1/models/{MODEL}").json()["id"] == MODEL
    assert service.get("/v1/models/small-model").json()["id"] == MODEL
    assert error_of(service.get("/v1/models/gpt-4"))["code"] == "model_not_found"
    loading = FakeEncoder()
    loading.state = ModelState(MODEL, "loading")
    said = error_of(Service(loading).get("/v1/models/gpt-4"))["message"]
    assert said == "The model 'gpt-4' is not served here. Served: none yet."
    body = embed(service, model="text-embedding-3-small").json()
    assert (body["model"], body["alias"]) == (MODEL, "text-embedding-3-small")
    assert error_of(embed(service, model="other"))["code"] == "model_not_found"


def test_aliases_of_a_local_directory_and_of_a_short_name() -> None:
    full = "sentence-transformers/all-mpnet-base-v2"
    encoders = FakeEncoder("foo"), FakeEncoder(full), FakeEncoder("makers/foo")
    service = Service(*encoders)
    aliases = {"local": "./models/foo/", "short": "all-mpnet-base-v2", "last": "makers/foo"}
    object.__setattr__(service.backend.args, "model_aliases", aliases)
    listed = {one["id"]: one["owned_by"] for one in service.get("/v1/models").json()["data"]}
    owners = {"foo": "local", full: "sentence-transformers", "makers/foo": "makers"}
    assert listed == owners | {"local": "foo", "short": full, "last": "makers/foo"}
    assert "models/" not in service.get("/v1/models").text
    for name, served in (("local", "foo"), ("short", full), ("last", "makers/foo"), ("all-mpnet-base-v2", full)):
        assert embed(service, model=name).json()["model"] == served
    assert service.get("/v1/models/all-mpnet-base-v2").json()["id"] == full


def test_prompts_go_before_the_text_and_into_the_key() -> None:
    encoder = FakeEncoder()
    prompts = {"query": "q: ", "passage": "p: ", "news": "n: "}
    encoder.state = ModelState(MODEL, "ready", info_of(prompts=prompts))
    service = Service(encoder)
    for fields in ({}, {"input_type": "query"}, {"prompt_name": "query"}, {"input_type": "document"}):
        embed(service, **fields)
    embed(service, input=["q: abc"])
    embed(service, input_type="query", prompt_name="news")
    assert encoder.calls == [["abc"], ["q: abc"], ["p: abc"], ["q: abc"], ["n: abc"]]
    error = error_of(embed(service, prompt_name="no"))
    assert error["message"] == f"{MODEL} has no prompt 'no'. Known prompts: 'query', 'passage', 'news'."
    native = service.post("/embed/text", json={"texts": ["x"], "promptName": "no"}).json()["error"]
    assert (native["code"], native["param"]) == ("invalid_request", "promptName")
    service.post("/embed/text", json={"texts": ["x"], "inputType": "query"})
    batch = service.post("/embed/batch", json={"items": [{"text": "y"}], "promptName": "news"})
    assert batch.json()["items"][0]["cached"] is False
    assert encoder.calls[-2:] == [["q: x"], ["n: y"]]


def test_native_routes_quantise() -> None:
    body = Service().post("/embed/text", json={"texts": ["abc"], "outputType": "int8"}).json()
    assert (body["embeddings"], body["outputType"], body["range"]) == ([LEVELS_8], "int8", [-1, 1])
    answer = Service().post("/embed/text", json={"texts": ["abc"], "outputType": "int8", "normalize": False})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "outputType")
    batch = Service().post("/embed/batch", json={"items": [{"text": "abc"}], "outputType": "uint8"}).json()
    assert (batch["embeddings"], batch["items"][0]["range"]) == ([LEVELS_U8], [-1, 1])
    bad = Service().post("/embed/batch", json={"items": [{"text": "abc"}], "outputType": "binary"}).json()
    assert (bad["embeddings"], bad["items"][0]["error"]["code"]) == ([None], "invalid_request")
