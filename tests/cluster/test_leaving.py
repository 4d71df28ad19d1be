"""A client that leaves before its answer: its work ends, nothing of it stays."""

import json
import uuid
from http.client import HTTPConnection

from loadtests.running import RunningService, wait_for
from tests.support import web
from tests.support.samples import batches_of
from tests.support.scaled import gauge

# Hundreds of times what the model does until it is seen to have begun.
TEXTS = 2048


def test_a_client_that_leaves_ends_its_work_and_leaves_nothing_behind(service: RunningService) -> None:
    left, items = gauge(service, "embedding_requests_total", "499"), batches_of(service)[0]
    filler = "word " * 250
    texts = [f"{uuid.uuid4()} {filler}" for _ in range(TEXTS)]
    leaver = HTTPConnection("127.0.0.1", service.port)
    leaver.request("POST", "/embed/text", json.dumps({"texts": texts}), {"content-type": "application/json"})
    wait_for(lambda: batches_of(service)[0] > items, what="the model's first batch")
    leaver.close()
    wait_for(lambda: gauge(service, "embedding_requests_total", "499") == left + 1, what="the request's end")
    # The scrape is one itself.
    wait_for(lambda: gauge(service, "embedding_requests_in_progress") <= 1, what="nothing in progress")
    wait_for(lambda: gauge(service, "embedding_queue_items") == 0, what="empty queues")
    fresh = web.post(f"{service.url}/embed/text", json={"texts": texts[-1:]}, timeout=300).json()
    assert (fresh["cacheHits"], fresh["dimensions"]) == (0, 384)
    ended = batches_of(service)[0] - items
    assert ended < TEXTS
