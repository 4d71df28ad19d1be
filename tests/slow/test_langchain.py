"""LangChain's `OpenAIEmbeddings` against the real service."""

from typing import Any

import httpx
import numpy as np
import openai
import pytest
import tiktoken
from langchain_openai import OpenAIEmbeddings
from pydantic import SecretStr

from loadtests.running import RunningService
from tests.support.oracle import Oracle

pytestmark = pytest.mark.usefixtures("forgotten_clients")

TEXTS = ["Hello world", "The cat sleeps on the warm windowsill.", "Borrowing money has become more expensive."]


def embeddings(
    service: RunningService, *, checks: bool, model: str = "all-MiniLM-L6-v2", **options: Any
) -> OpenAIEmbeddings:
    return OpenAIEmbeddings(
        model=model,
        openai_api_base=f"{service.url}/v1",
        openai_api_key=SecretStr("none"),
        check_embedding_ctx_length=checks,
        max_retries=0,
        **options,
    )


def test_texts_are_embedded_as_by_our_own_route(service: RunningService, client: httpx.Client, oracle: Oracle) -> None:
    rows = np.array(embeddings(service, checks=False).embed_documents(TEXTS), np.float32)
    ours = client.post("/embed/text", json={"texts": TEXTS}).json()["embeddings"]
    assert np.array_equal(rows, np.array(ours, np.float32))
    assert (rows * oracle(TEXTS)).sum(1).min() >= 0.9999


async def test_queries_in_both_ways_and_under_the_alias(service: RunningService) -> None:
    async with httpx.AsyncClient() as pool:
        asynchronous = embeddings(service, checks=False, model="text-embedding-3-small", http_async_client=pool)
        [awaited] = await asynchronous.aembed_documents(TEXTS[1:2])
    named = embeddings(service, checks=False)
    small = embeddings(service, checks=False, model="text-embedding-3-small")
    assert small.embed_query(TEXTS[1]) == named.embed_query(TEXTS[1]) == awaited


def test_more_texts_than_its_own_chunk(service: RunningService, client: httpx.Client) -> None:
    many = [f"chunked text {i}" for i in range(1100)]  # it sends 1,000 at once
    rows = np.array(embeddings(service, checks=False).embed_documents(many), np.float32)
    last = client.post("/embed/text", json={"texts": many[-1:]}).json()["embeddings"]
    assert rows.shape == (1100, 384)
    assert float(rows[-1] @ np.array(last[0], np.float32)) >= 0.9999


def test_its_default_sends_openais_ids_and_is_told_the_way_out(
    service: RunningService, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The vocabulary is downloaded on first use; these are its ids of the two words.
    ranks = {bytes([byte]): byte for byte in range(256)} | {b"Hello": 9906, b" world": 1917}
    words = tiktoken.Encoding("cl100k_base", pat_str=r" ?\w+", mergeable_ranks=ranks, special_tokens={})
    assert words.encode("Hello world") == [9906, 1917]
    monkeypatch.setitem(tiktoken.registry.ENCODINGS, "cl100k_base", words)
    with pytest.raises(openai.BadRequestError, match="check_embedding_ctx_length=False") as refused:
        embeddings(service, checks=True).embed_documents(["Hello world"])
    assert refused.value.param == "input.0"
