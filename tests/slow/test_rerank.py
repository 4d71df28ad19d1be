"""Rerankers behind the real service: their scores over HTTP are those of sentence-transformers."""

from pathlib import Path

import httpx
import numpy as np
import pytest
from sentence_transformers import CrossEncoder

from loadtests.running import running, wait_for, write_config
from tests.support.rerankers import pairs, write

MOST = 96


def test_a_reranker_and_a_classifier_serve_beside_the_text_model(tmp_path: Path) -> None:
    folders = [write("BERT", tmp_path / "scores", MOST), write("DistilBERT", tmp_path / "moods", MOST, ("joy", "fear"))]
    models = [{"id": str(folder), "precision": "f32", "cache_dir": str(tmp_path / "cache")} for folder in folders]
    config = write_config(tmp_path, image_models=[], rerank_models=models)
    texts = [text for _, text in pairs(MOST)]
    with running(config) as service, httpx.Client(base_url=service.url, timeout=60) as client:
        health = client.get("/health").json()
        assert [(one["kind"], one["status"]) for one in health["details"]] == [
            ("text", "ready"),
            ("rerank", "ready"),
            ("rerank", "ready"),
        ]
        assert health["models"]["rerank"] == "scores"
        body = {"query": "w7 w9 w100", "documents": texts}
        first = client.post("/rerank", json=body)
        right = CrossEncoder(str(folders[0]), device="cpu").predict([(body["query"], text) for text in texts])
        assert [one["score"] for one in first.json()["scores"]] == pytest.approx(right, abs=1e-4)
        assert [one["index"] for one in first.json()["results"]] == np.argsort(-right, kind="stable").tolist()
        hits = client.get("/cache/stats").json()["hits"]
        assert client.post("/rerank", json=body).json()["results"] == first.json()["results"]
        assert client.get("/cache/stats").json()["hits"] == hits + len(texts)
        named = {"inputs": [["w1 w2"], ["w3", "w4"]], "model": "moods"}
        labels = [{one["label"] for one in found} for found in client.post("/predict", json=named).json()]
        assert labels == [{"joy", "fear"}] * 2
        search = {"query": {"text": "w7"}, "candidates": [{"text": text} for text in texts], "rerank": True, "topK": 3}
        found = client.post("/search", json=search).json()
        assert (found["reranker"], len(found["results"])) == ("scores", 3)
        # Replicas report what they count every second or so.
        wait_for(lambda: 'embedding_items_total{kind="rerank",model="scores"}' in client.get("/metrics").text)
        wait_for(lambda: 'embedding_model_ready{model="moods"} 1' in client.get("/metrics").text)
