"""Many clients at once: right vectors, right order, and batches that grow."""

import asyncio
import json
import random
import time
import uuid
from collections import Counter
from typing import Any

import httpx
import numpy as np

from app.config.args import Limits
from loadtests.http_load import closed_loop
from loadtests.running import RunningService, wait_for
from tests.support.oracle import Oracle
from tests.support.samples import batches_of

MOST_CLIENTS, MEASURED = 64, 32


def at_once(service: RunningService, requests: list[list[str]]) -> list[list[Any]]:
    """Every list of texts as a request, as many at a time as are a third of what may wait; the vectors of each."""
    largest = max(requests, key=lambda texts: sum(map(len, texts)))
    fresh = [[f"{uuid.uuid4()} {text}" for text in largest] for _ in range(max(1, MEASURED // len(largest)))]
    began = time.monotonic()
    for texts in fresh:
        httpx.post(f"{service.url}/embed/text", json={"texts": texts}, timeout=60).raise_for_status()
    a_second = sum(map(len, fresh)) / (time.monotonic() - began)
    mean = sum(map(len, requests)) / len(requests)
    clients = min(MOST_CLIENTS, max(4, round(Limits().queue_s * a_second / mean / 3)))
    bodies = [json.dumps({"texts": texts}).encode() for texts in requests]
    answers = asyncio.run(closed_loop("127.0.0.1", service.port, "/embed/text", bodies, clients))
    assert Counter(answer.status for answer in answers) == {200: len(requests)}
    return [json.loads(answer.body)["embeddings"] for answer in answers]


def test_every_vector_is_right_and_in_order(service: RunningService, oracle: Oracle) -> None:
    rng = random.Random(7)
    words = ["river", "stone", "light", "paper", "engine", "garden", "winter", "music", "bread", "ocean"]
    texts = [f"{i} " + " ".join(rng.choices(words, k=rng.randint(1, 60))) for i in range(900)]
    requests, rest = [], list(texts)
    while rest:
        size = rng.choice([1, 1, 2, 3, 5, 8, 17, 40])
        requests.append(rest[:size])
        rest = rest[size:]
    answers = at_once(service, requests)
    assert [len(rows) for rows in answers] == [len(request) for request in requests]
    got = np.array([row for rows in answers for row in rows])
    want = oracle(texts)
    assert (got * want).sum(1).min() >= 0.9999
    assert ((got @ want.T).argmax(1) == np.arange(len(texts))).all()


def test_batches_grow_while_the_model_is_busy(service: RunningService) -> None:
    # Texts that the model takes far longer for than the road to it, on any machine; at most eight of them are one run.
    filler = "the committee discussed at length how the old harbour might be used again in the coming years " * 5
    bodies = [json.dumps({"texts": [f"{uuid.uuid4()} {filler}"]}).encode() for _ in range(1 + 2 * MOST_CLIENTS)]

    def counts_after(bodies: list[bytes], items: int) -> tuple[int, int]:
        answers = asyncio.run(closed_loop("127.0.0.1", service.port, "/embed/text", bodies, MOST_CLIENTS))
        assert Counter(answer.status for answer in answers) == {200: len(bodies)}
        # Each ingress hears the encoder's counts once a second.
        found: tuple[int, int] = wait_for(lambda: (now := batches_of(service))[0] >= items + len(bodies) and now)
        return found

    items, batches = counts_after(bodies[:1], batches_of(service)[0])
    more_items, more_batches = counts_after(bodies[1:], items)
    assert (more_items - items) / (more_batches - batches) > 3
