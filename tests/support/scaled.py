"""Parts of a config: the text model has one encoder, and from the first load on two, for as long as anybody looks."""

import threading
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx

from loadtests.running import RunningService, wait_for
from tests.support import web
from tests.support.samples import of, samples_of

SCALES: dict[str, Any] = {
    "min_replicas": 1,
    "max_replicas": 2,
    "upscale_delay_s": 0.5,
    "downscale_delay_s": 3600,
    "metrics_interval_s": 0.5,
}
MINILM = "sentence-transformers/all-MiniLM-L6-v2"
# Small batches: each encoder that starts runs every shape of them first.
TEXT: dict[str, Any] = {"id": MINILM, "num_cpus": 0.1, "batch_size": 8, "batch_tokens": 512, "health_check_period_s": 1}
TEXT |= {"autoscaling": SCALES}
ENCODER = "TextEncoder-all-MiniLM-L6-v2"
# A slower look-up counts as a miss, and a busy machine is slow: what was stored must be found.
PATIENT = {"deadline_ms": 5000}
IMAGE = {"id": "shapes-clip", "num_cpus": 0.1}


def gauge(service: RunningService, name: str, *labels: str, headers: dict[str, str] | None = None) -> float:
    samples = of(samples_of(web.get(f"{service.url}/metrics", headers=headers, timeout=300)), name)
    return sum(value for key, value in samples.items() if set(labels) <= set(key))


@contextmanager
def clients(service: RunningService, count: int) -> Iterator[Counter[int]]:
    """So many ask for new texts, one after the other; the statuses of their answers."""
    over, statuses = threading.Event(), Counter[int]()

    def ask() -> None:
        with httpx.Client(base_url=service.url, timeout=300) as client:
            while not over.is_set():
                statuses[client.post("/embed/text", json={"texts": [str(uuid.uuid4())]}).status_code] += 1

    with ThreadPoolExecutor(count) as threads:
        asking = [threads.submit(ask) for _ in range(count)]
        try:
            yield statuses
        finally:
            over.set()
            for one in asking:
                one.result()


def scale_up(service: RunningService) -> None:
    """Load until there are two encoders."""
    if gauge(service, "embedding_replicas", ENCODER) < 2:
        with clients(service, 16):
            wait_for(lambda: gauge(service, "embedding_replicas", ENCODER) == 2, what="a second encoder")
