"""text-embeddings-inference's routes on the real service, and a client of it as its users call it."""

import uuid
from typing import Any

import httpx
import numpy as np
import pytest
from huggingface_hub import InferenceClient
from huggingface_hub.errors import HfHubHTTPError

from loadtests.running import RunningService
from tests.support.oracle import Oracle

pytestmark = pytest.mark.usefixtures("forgotten_clients")

MODEL = "sentence-transformers/all-MiniLM-L6-v2"
LONG = "word " * 300


def embed(client: httpx.Client, inputs: Any, **options: Any) -> Any:
    answer = client.post("/embed", json={"inputs": inputs, **options})
    assert answer.status_code == 200, answer.text
    return np.array(answer.json(), np.float32)


@pytest.mark.parametrize("path", ["", "/embed"])
def test_the_hubs_client(service: RunningService, oracle: Oracle, path: str) -> None:
    texts = ["Hello world", f"Machine learning {uuid.uuid4()}"]
    hub = InferenceClient(model=service.url + path, timeout=300)
    rows = hub.feature_extraction(texts)
    assert (rows.shape, rows.dtype.name) == ((2, 384), "float32")
    assert (rows * oracle(texts)).sum(1).min() >= 0.9999
    assert np.array_equal(hub.feature_extraction("Hello world", normalize=True, truncate=True), rows[:1])


def test_the_hubs_client_is_told_what_is_wrong(service: RunningService) -> None:
    hub = InferenceClient(model=f"{service.url}/embed", timeout=300)
    with pytest.raises(HfHubHTTPError) as refused:
        hub.feature_extraction(LONG, truncate=False)
    assert refused.value.response.status_code == 422
    assert refused.value.response.json() == {
        "error": "`inputs` must have at most 256 tokens; set `truncate` to true to truncate it.",
        "error_type": "Validation",
    }


def test_either_end_is_cut(client: httpx.Client) -> None:
    start, end = f"a red boat {uuid.uuid4()} ", "the stock market fell"
    rows = embed(client, [start + LONG + end], truncation_direction="right")
    assert np.array_equal(rows, embed(client, [start + LONG + "no matter"]))
    cut = embed(client, [start + LONG + end], truncation_direction="Left")
    assert np.array_equal(cut, embed(client, ["no matter " + LONG + end], truncation_direction="left"))
    assert float((rows * cut).sum()) < 0.99


def test_ids_and_dimensions(client: httpx.Client, oracle: Oracle) -> None:
    ids = [101, 7592, 2088, 102]  # hello world
    rows = embed(client, [ids, ids])
    assert (rows @ oracle(["hello world"])[0]).min() >= 0.9999
    short = embed(client, ids, dimensions=64)
    assert np.allclose(short[0], rows[0][:64] / np.linalg.norm(rows[0][:64]), atol=1e-6)
    raw = embed(client, ids, dimensions=64, normalize=False)
    assert np.array_equal(raw[0], rows[0][:64])


def test_info(client: httpx.Client) -> None:
    about = client.get("/info").json()
    health = client.get("/health").json()["details"][0]
    assert about["model_id"] == MODEL == health["id"]
    assert about["model_dtype"] == {"bf16": "bfloat16", "f32": "float32"}[health["precision"]]
    assert about["model_type"] == {"embedding": {"pooling": "mean"}}
    assert (about["max_input_length"], about["max_client_batch_size"]) == (256, 2048)
    assert about["version"] == client.get("/health").json()["version"]


def test_tokens(client: httpx.Client) -> None:
    answer = client.post("/tokenize", json={"inputs": ["Hello wörld", "x " * 600]})
    assert answer.status_code == 200, answer.text
    [hello, long] = answer.json()
    assert hello == [
        {"id": 101, "text": "[CLS]", "special": True, "start": None, "stop": None},
        {"id": 7592, "text": "Hello", "special": False, "start": 0, "stop": 5},
        {"id": 2088, "text": "wörld", "special": False, "start": 6, "stop": 12},
        {"id": 102, "text": "[SEP]", "special": True, "start": None, "stop": None},
    ]
    assert len(long) == 602
    image_model = client.post("/tokenize", json={"inputs": "a circle", "model": "shapes-clip"})
    assert [token["text"] for token in image_model.json()[0] if not token["special"]] == ["a", "circle"]


def test_errors_in_teis_shape(client: httpx.Client) -> None:
    answer = client.post("/embed", json={"inputs": []})
    assert (answer.status_code, answer.json()["error_type"]) == (400, "Empty")
    answer = client.post("/embed", json={"inputs": [[101, 40000, 102]]})
    assert (answer.status_code, answer.json()["error_type"]) == (422, "Validation")
    answer = client.post("/tokenize", json={"inputs": "a" * 300_000})
    assert (answer.status_code, answer.json()["error_type"]) == (413, "Validation")
