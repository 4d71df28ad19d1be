"""LlamaIndex's `TextEmbeddingsInference` against the real service."""

import numpy as np
import pytest
from llama_index.embeddings.text_embeddings_inference import TextEmbeddingsInference

from loadtests.running import RunningService
from tests.support.oracle import Oracle

pytestmark = pytest.mark.usefixtures("forgotten_clients")

TEXTS = [f"LlamaIndex reads chapter {i}." for i in range(25)]  # it sends ten at once


def embedding(service: RunningService) -> TextEmbeddingsInference:
    return TextEmbeddingsInference(model_name="all-MiniLM-L6-v2", base_url=service.url, timeout=300)


def test_texts_and_queries(service: RunningService, oracle: Oracle) -> None:
    rows = np.array(embedding(service).get_text_embedding_batch(TEXTS), np.float32)
    assert rows.shape == (25, 384)
    assert (rows * oracle(TEXTS)).sum(1).min() >= 0.9999
    query = np.array(embedding(service).get_query_embedding(TEXTS[7]), np.float32)
    assert np.array_equal(query, rows[7])


async def test_awaited(service: RunningService) -> None:
    known = embedding(service)
    rows = await known.aget_text_embedding_batch(TEXTS[:3])
    assert rows == known.get_text_embedding_batch(TEXTS[:3])


def test_a_text_too_long_is_cut_as_it_asks(service: RunningService) -> None:
    assert len(embedding(service).get_text_embedding("word " * 1000)) == 384
