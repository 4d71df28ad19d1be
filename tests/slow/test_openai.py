"""The `openai` SDK against the real service, as its users call it."""

import asyncio
import base64
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import openai
import pytest
from tokenizers import Tokenizer

from app.api.routes import PNG
from app.encoders.weights import resolve
from loadtests.running import RunningService
from tests.support.oracle import Oracle

pytestmark = pytest.mark.usefixtures("forgotten_clients")

MODEL = "sentence-transformers/all-MiniLM-L6-v2"


@pytest.fixture
def sdk(service: RunningService) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{service.url}/v1", api_key="none", max_retries=0, timeout=300) as client:
        yield client


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return Tokenizer.from_file(str(resolve("all-MiniLM-L6-v2").directory / "tokenizer.json"))


def test_the_default_is_base64_and_the_vectors_are_right(sdk: openai.OpenAI, oracle: Oracle) -> None:
    texts = ["Hello world", f"Machine learning {uuid.uuid4()}"]
    answer = sdk.embeddings.create(model=MODEL, input=texts)
    rows = np.array([one.embedding for one in answer.data])
    assert (rows * oracle(texts)).sum(1).min() >= 0.9999
    assert [one.index for one in answer.data] == [0, 1]
    assert (answer.model, answer.object) == (MODEL, "list")
    assert answer.usage.prompt_tokens == answer.usage.total_tokens > 8
    plain = sdk.embeddings.create(model="all-MiniLM-L6-v2", input=texts, encoding_format="float")
    assert np.array_equal(np.array([one.embedding for one in plain.data], np.float32), rows.astype(np.float32))


async def test_the_asynchronous_client(service: RunningService, oracle: Oracle) -> None:
    async with openai.AsyncOpenAI(base_url=f"{service.url}/v1", api_key="none") as client:
        answers = await asyncio.gather(*(client.embeddings.create(model=MODEL, input=f"text {i}") for i in range(8)))
    assert float(np.dot(answers[3].data[0].embedding, oracle(["text 3"])[0])) >= 0.9999


async def test_both_encodings_and_the_errors_of_the_asynchronous_client(service: RunningService) -> None:
    async with openai.AsyncOpenAI(base_url=f"{service.url}/v1", api_key="none", max_retries=0) as client:
        coded = await client.embeddings.create(model=MODEL, input=["x", "y"], dimensions=32, user="somebody")
        plain = await client.embeddings.create(model=MODEL, input=["x", "y"], dimensions=32, encoding_format="float")
        for one, other in zip(coded.data, plain.data, strict=True):
            assert np.array_equal(np.array(one.embedding, np.float32), np.array(other.embedding, np.float32))
            assert len(one.embedding) == 32
        with pytest.raises(openai.BadRequestError) as refused:
            await client.embeddings.create(model=MODEL, input=["x", ""])
        assert refused.value.param == "input.1"
        with pytest.raises(openai.NotFoundError):
            await client.embeddings.create(model="text-embedding-3-large", input="x")


def test_an_alias_and_images_beyond_openais_api(sdk: openai.OpenAI) -> None:
    answer = sdk.embeddings.create(model="text-embedding-3-small", input="Hello world")
    assert (answer.model, (answer.model_extra or {})["alias"]) == (MODEL, "text-embedding-3-small")
    objects: Any = [{"text": "a red square"}, {"image": PNG}]
    text, image = sdk.embeddings.create(model="shapes-clip", input=objects).data
    assert len(text.embedding) == len(image.embedding) == 64
    assert float(np.dot(text.embedding, image.embedding)) > 0.2


def test_dimensions(sdk: openai.OpenAI, oracle: Oracle) -> None:
    answer = sdk.embeddings.create(model=MODEL, input="Hello world", dimensions=64)
    cut = oracle(["Hello world"])[0][:64]
    assert float(np.dot(answer.data[0].embedding, cut / np.linalg.norm(cut))) >= 0.9999
    assert "not trained for shortened vectors" in (answer.model_extra or {})["warning"]
    with pytest.raises(openai.BadRequestError, match="have 384"):
        sdk.embeddings.create(model=MODEL, input="Hello world", dimensions=385)


def test_ids_of_the_models_own_tokenizer(sdk: openai.OpenAI, tokenizer: Any) -> None:
    text = f"its own tokens {uuid.uuid4()}"
    ids = tokenizer.encode(text).ids
    ids = ids[: ids.index(102) + 1]  # this tokenizer.json pads
    [row] = sdk.embeddings.create(model=MODEL, input=ids).data
    rows = sdk.embeddings.create(model=MODEL, input=[ids, [101, 102]]).data
    [same] = sdk.embeddings.create(model=MODEL, input=text).data
    assert rows[0].embedding == row.embedding
    assert float(np.dot(row.embedding, same.embedding)) >= 0.99999


@pytest.mark.parametrize("ids", [[9906, 1917], [101, 7592], [7592, 102], [101, 40000, 102], [101, *[7592] * 300, 102]])
def test_foreign_ids_are_refused_with_the_way_out(sdk: openai.OpenAI, ids: list[int]) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        sdk.embeddings.create(model=MODEL, input=[[101, 102], ids])
    assert refused.value.param == "input.1"
    if len(ids) < 100:
        assert "check_embedding_ctx_length=False" in refused.value.message


def test_errors_are_the_sdks_own_classes(sdk: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as missing:
        sdk.embeddings.create(model="text-embedding-3-large", input="x")
    assert (missing.value.code, missing.value.param) == ("model_not_found", "model")
    with pytest.raises(openai.BadRequestError) as bad:
        sdk.embeddings.create(model=MODEL, input="")
    assert (bad.value.type, bad.value.param) == ("invalid_request_error", "input")
    with pytest.raises(openai.BadRequestError, match="at most 2,048"):
        sdk.embeddings.create(model=MODEL, input=["x"] * 2049)
    assert bad.value.request_id


def test_quantised(client: httpx.Client, oracle: Oracle) -> None:
    body = {"model": MODEL, "input": ["Hello world"], "output_dtype": "ubinary", "encoding_format": "base64"}
    [row] = client.post("/v1/embeddings", json=body).json()["data"]
    bits = np.unpackbits(np.frombuffer(base64.b64decode(row["embedding"]), np.uint8))
    assert (bits == (oracle(["Hello world"])[0] > 0)).mean() > 0.98  # bf16 may turn a number next to zero


def test_models(sdk: openai.OpenAI) -> None:
    assert MODEL in [model.id for model in sdk.models.list()]
    assert sdk.models.retrieve(MODEL).owned_by == "sentence-transformers"
    with pytest.raises(openai.NotFoundError):
        sdk.models.retrieve("gpt-4")
