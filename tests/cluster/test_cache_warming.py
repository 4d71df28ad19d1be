"""A corpus embedded in bulk warms the live service's cache."""

import json
import uuid
from pathlib import Path

import httpx
import numpy as np
import pyarrow.parquet as pq

from app.arguments import DEFAULT_TEXT_MODEL, ModelArgs
from app.corpus_model import load_model
from app.corpus_reuse import matrix
from app.corpus_run import CorpusOptions, embed_corpus, in_process
from app.corpus_warm import service_at, warm_cache
from tests.cluster.running import RunningService


def test_what_was_written_is_what_the_service_answers(
    service: RunningService, client: httpx.Client, tmp_path: Path
) -> None:
    mark = uuid.uuid4().hex
    texts = [f"{mark} {i} of the river" for i in range(20)] + [f"{mark} " + "long " * 400]
    (tmp_path / "in.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in texts))
    embed_corpus(str(tmp_path / "in.jsonl"), str(tmp_path / "out"), CorpusOptions(offline=True), in_process())
    model = load_model(ModelArgs(id=DEFAULT_TEXT_MODEL), "text", 1, True)
    warmed = warm_cache(str(tmp_path / "out"), model, service_at(service.url, None))
    assert (warmed.texts, warmed.stored) == (21, 21)
    answer = client.post("/embed/text", json={"texts": texts}).json()
    assert (answer["cached"], answer["cacheHits"], answer["truncated"]) == (True, 21, [20])
    assert answer["usage"]["tokens"] == sum(len(text.ids) for text in model.tokenize(texts))
    np.testing.assert_array_equal(
        np.array(answer["embeddings"], np.float32), matrix(pq.read_table(tmp_path / "out")).astype(np.float32)
    )


def test_vectors_of_another_model_are_refused(client: httpx.Client) -> None:
    body = {"fingerprint": "0" * 32, "texts": ["x"], "tokens": [3], "embeddings": "AAAAAA=="}
    answer = client.post("/cache/warm", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "space_mismatch")
    assert "Embed the corpus with the model" in answer.json()["error"]["message"]
