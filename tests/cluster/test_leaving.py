"""A client that leaves before its answer: its work ends, nothing of it stays."""

import uuid

import httpx
import pytest

from loadtests.running import RunningService, wait_for
from tests.support.samples import batches_of, of, samples_of

TEXTS = 2048


def gauge(service: RunningService, name: str, *labels: str) -> float:
    samples = of(samples_of(httpx.get(f"{service.url}/metrics", timeout=10)), name)
    return sum(value for key, value in samples.items() if set(labels) <= set(key))


def test_a_client_that_leaves_ends_its_work_and_leaves_nothing_behind(service: RunningService) -> None:
    left, items = gauge(service, "embedding_requests_total", "499"), batches_of(service)[0]
    filler = "word " * 250
    texts = [f"{uuid.uuid4()} {filler}" for _ in range(TEXTS)]
    # Long enough for the service to begin, far too short for it to end.
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{service.url}/embed/text", json={"texts": texts}, timeout=httpx.Timeout(30, read=2))
    wait_for(lambda: gauge(service, "embedding_requests_total", "499") == left + 1, what="the request's end")
    # The scrape is one itself.
    wait_for(lambda: gauge(service, "embedding_requests_in_progress") <= 1, what="nothing in progress")
    wait_for(lambda: gauge(service, "embedding_queue_items") == 0, what="empty queues")
    fresh = httpx.post(f"{service.url}/embed/text", json={"texts": texts[-1:]}, timeout=60).json()
    assert (fresh["cacheHits"], fresh["dimensions"]) == (0, 384)
    ended = batches_of(service)[0] - items
    assert ended < TEXTS
