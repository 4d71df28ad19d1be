"""Many clients at once: right vectors, right order, and batches that grow."""

import asyncio
import json
import random
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from loadtests.http_load import closed_loop
from loadtests.running import RunningService
from tests.support.holding import all_wait, held
from tests.support.oracle import Oracle
from tests.support.samples import batches_of

CLIENTS = 64


def at_once(service: RunningService, requests: list[list[str]]) -> list[list[Any]]:
    """Every list of texts as a request, many at a time; the vectors of each."""
    bodies = [json.dumps({"texts": texts}).encode() for texts in requests]
    answers = asyncio.run(closed_loop("127.0.0.1", service.port, "/embed/text", bodies, CLIENTS))
    assert Counter(answer.status for answer in answers) == {200: len(requests)}
    return [json.loads(answer.body)["embeddings"] for answer in answers]


def test_every_vector_is_right_and_in_order(service: RunningService, oracle: Oracle) -> None:
    rng = random.Random(7)
    words = ["river", "stone", "light", "paper", "engine", "garden", "winter", "music", "bread", "ocean"]
    texts = [f"{i} " + " ".join(rng.choices(words, k=rng.randint(1, 60))) for i in range(400)]
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
    items, batches = batches_of(service)
    with ThreadPoolExecutor(1) as thread:
        # Busy for as long as all of them take to come.
        with held(service.named("TextEncoder")):
            answers = thread.submit(at_once, service, [[str(uuid.uuid4())] for _ in range(CLIENTS)])
            all_wait(service, CLIENTS)
        answers.result()
    more_items, more_batches = batches_of(service)
    assert more_items == items + CLIENTS
    assert (more_items - items) / (more_batches - batches) > 3
