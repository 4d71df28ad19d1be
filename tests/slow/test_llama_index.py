"""LlamaIndex's `OpenAIEmbedding` against the real service."""

from typing import Any

import httpx
import numpy as np
import openai
import pytest
from llama_index.embeddings.openai import OpenAIEmbedding

from loadtests.running import RunningService
from tests.support.oracle import Oracle

pytestmark = pytest.mark.usefixtures("forgotten_clients")

TEXTS = [f"LlamaIndex reads page {i}." for i in range(25)]  # it sends ten at once here


def embedding(service: RunningService, **options: Any) -> OpenAIEmbedding:
    return OpenAIEmbedding(
        api_base=f"{service.url}/v1", api_key="none", max_retries=0, embed_batch_size=10, timeout=300, **options
    )


def test_a_model_by_name(service: RunningService, client: httpx.Client, oracle: Oracle) -> None:
    rows = np.array(embedding(service, model_name="all-MiniLM-L6-v2").get_text_embedding_batch(TEXTS), np.float32)
    ours = client.post("/embed/text", json={"texts": TEXTS}).json()["embeddings"]
    assert np.array_equal(rows, np.array(ours, np.float32))
    assert (rows * oracle(TEXTS)).sum(1).min() >= 0.9999


async def test_the_alias_of_a_model_that_it_knows(service: RunningService) -> None:
    async with httpx.AsyncClient() as pool:
        asynchronous = embedding(service, model="text-embedding-3-small", async_http_client=pool)
        awaited = await asynchronous.aget_text_embedding_batch(TEXTS[:3])
    known = embedding(service, model="text-embedding-3-small")
    named = embedding(service, model_name="sentence-transformers/all-MiniLM-L6-v2")
    assert known.get_query_embedding("a page") == named.get_query_embedding("a page")
    assert awaited == named.get_text_embedding_batch(TEXTS[:3])


def test_dimensions(service: RunningService) -> None:
    short = embedding(service, model="text-embedding-3-small", dimensions=64).get_text_embedding("a page")
    assert len(short) == 64
    assert float(np.linalg.norm(short)) == pytest.approx(1, abs=1e-3)


def test_a_model_that_is_not_served(service: RunningService) -> None:
    with pytest.raises(openai.NotFoundError, match="text-embedding-ada-002"):
        embedding(service).get_text_embedding("a page")
