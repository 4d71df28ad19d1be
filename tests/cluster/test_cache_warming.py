"""A corpus embedded in bulk warms the live service's cache."""

import json
import uuid
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow.parquet as pq

from app.config.args import DEFAULT_TEXT_MODEL, ModelArgs
from app.corpus.cache_warming import service_at, warm_cache
from app.corpus.known_vectors import matrix
from app.corpus.model import CorpusModel, load_model
from app.corpus.run import CorpusOptions, embed_corpus, in_process
from app.types import Vector
from loadtests.running import RunningService

# Every shape of a batch is run once before the first.
SMALL = ModelArgs(id=DEFAULT_TEXT_MODEL, batch_size=8, batch_tokens=512)


def test_what_was_written_is_what_the_service_answers(
    service: RunningService, client: httpx.Client, tmp_path: Path
) -> None:
    model = load_model(SMALL, "text", 1, True)
    texts, written, answer = warmed(service, client, model, tmp_path)
    assert (answer["cached"], answer["cacheHits"], answer["truncated"]) == (True, 21, [20])
    assert answer["usage"]["tokens"] == sum(len(text.ids) for text in model.tokenize(texts))
    np.testing.assert_array_equal(np.array(answer["embeddings"], np.float32), written)


def warmed(
    service: RunningService, client: httpx.Client, model: CorpusModel, folder: Path
) -> tuple[list[str], Vector, dict[str, Any]]:
    """Texts that are new, their vectors in bulk, which the cache was given, and what the service says of them."""
    mark = uuid.uuid4().hex
    texts = [f"{mark} {i} of the river" for i in range(20)] + [f"{mark} " + "long " * 400]
    (folder / "in.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in texts))
    out = str(folder / "out")
    embed_corpus(str(folder / "in.jsonl"), out, CorpusOptions(models=(SMALL, SMALL), offline=True), in_process())
    done = warm_cache(out, model, service_at(service.url, None))
    assert (done["texts"], done["stored"]) == (21, 21)
    answer: dict[str, Any] = client.post("/embed/text", json={"texts": texts}).json()
    return texts, matrix(pq.read_table(out)).astype(np.float32), answer


def test_vectors_of_another_model_are_refused(client: httpx.Client) -> None:
    body = {"fingerprint": "0" * 32, "texts": ["x"], "tokens": [3], "embeddings": "AAAAAA=="}
    answer = client.post("/cache/warm", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "space_mismatch")
    assert "Embed the corpus with the served model" in answer.json()["error"]["message"]
