"""Long texts through the running service: cut by the model's own tokenizer, embedded, and pooled late."""

from typing import Any

import httpx
import numpy as np
import pytest

TEXT = "The giant panda is a bear. It lives in China's mountains. " * 40


def good(answer: httpx.Response) -> Any:
    assert answer.status_code == 200, answer.text
    return answer.json()


def vectors(chunks: list[Any]) -> np.ndarray[Any, Any]:
    return np.array([chunk["embedding"] for chunk in chunks])


def test_chunks_are_texts_and_late_ones_are_not(client: httpx.Client) -> None:
    body = {"texts": [TEXT, "short"], "size": 64, "overlap": 8, "by": "sentences"}
    answer = good(client.post("/embed/chunks", json=body))
    long, short = (one["chunks"] for one in answer["results"])
    assert [chunk["text"] for chunk in short] == ["short"]
    assert all(chunk["text"] == TEXT[chunk["start"] : chunk["end"]] for chunk in long)
    texts = good(client.post("/embed/text", json={"texts": [chunk["text"] for chunk in long]}))
    assert texts["cached"] is True
    assert np.array(texts["embeddings"]) == pytest.approx(vectors(long))
    late = good(client.post("/embed/chunks", json=body | {"late": True}))
    # 600 tokens: 0 to 254, 145 to 399, 301 to 555 and the last 254.
    assert [one["windows"] for one in late["results"]] == [4, 1]
    assert [chunk["text"] for chunk in late["results"][0]["chunks"]] == [chunk["text"] for chunk in long]
    cosines = (vectors(late["results"][0]["chunks"]) * vectors(long)).sum(axis=1)
    assert cosines.min() > 0.5
    assert cosines.max() < 0.999
    refused = client.post("/embed/chunks", json={"text": TEXT, "size": 255})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "size")
    refused = client.post("/embed/chunks", json={"text": "a circle", "model": "shapes-clip", "late": True})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "late")


def test_documents_of_jina_and_voyage(client: httpx.Client) -> None:
    inputs = ["The giant panda is a bear.", "It eats bamboo."]
    jina = good(client.post("/v1/embeddings", json={"input": inputs, "late_chunking": True}))["data"]
    voyage = good(client.post("/v1/contextualizedembeddings", json={"inputs": [inputs]}))["data"][0]["data"]
    late = good(
        client.post("/embed/chunks", json={"text": " ".join(inputs), "size": 8, "by": "sentences", "late": True})
    )
    assert vectors(jina) == pytest.approx(vectors(voyage), abs=1e-6)
    assert vectors(jina) == pytest.approx(vectors(late["results"][0]["chunks"]), abs=1e-6)
    assert client.post("/v1/embeddings", json={"input": ["word " * 400, "b"], "late_chunking": True}).status_code == 400
