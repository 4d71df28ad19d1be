"""`POST /search` over real HTTP and real Ray."""

import uuid

import httpx
import numpy as np

from app.api.routes import PNG
from tests.support.oracle import Oracle


def test_texts_are_found_by_meaning(client: httpx.Client, oracle: Oracle) -> None:
    mark = uuid.uuid4().hex[:8]
    texts = ["A puppy plays in the garden.", "The stock market fell.", *(f"{mark} {i}" for i in range(2100))]
    body = {"query": {"text": "a small dog"}, "candidates": [{"text": text} for text in texts], "topK": 3}
    answer = client.post("/search", json=body).json()
    [best, *_] = answer["results"]
    rows = oracle(["a small dog", texts[0]])
    assert best["index"] == 0
    assert abs(best["score"] - float(np.dot(rows[0], rows[1]))) < 0.01
    vector = client.post("/embed/text", json={"texts": texts[:1]}).json()
    assert vector["space"] == answer["space"]
    body["candidates"] = [{"vector": vector["embeddings"][0]}, {"text": texts[1]}]
    mixed = client.post("/search", json=body | {"space": vector["space"]}).json()
    assert mixed["results"][0]["index"] == 0
    refused = client.post("/search", json=body | {"space": "another@1"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "space_mismatch")


def test_images_and_texts_of_one_model(client: httpx.Client) -> None:
    body = {"query": {"image": PNG}, "candidates": [{"text": "a red circle"}, {"image": PNG}]}
    answer = client.post("/search", json=body)
    assert answer.status_code == 200, answer.text
    assert [found["index"] for found in answer.json()["results"]] == [1, 0]
    assert answer.json()["results"][0]["score"] > 0.9999
