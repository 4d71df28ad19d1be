"""Every query of the dashboard, asked of a real Prometheus that scrapes a real service under load: none is empty."""

import math
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from loadtests import prometheus, workloads
from loadtests.prometheus import Prometheus
from loadtests.running import RunningService, wait_for

pytestmark = pytest.mark.skipif(
    not prometheus.installed() and os.environ.get("CI") != "true",
    reason="prometheus is not installed (Debian's package `prometheus` has it)",
)


@contextmanager
def loaded(service: RunningService) -> Iterator[None]:
    """Meanwhile, texts new and known, images, and requests that are refused, again and again."""
    over = threading.Event()

    def ask() -> None:
        with httpx.Client(base_url=service.url, timeout=300) as client:
            while not over.is_set():
                client.post("/embed/text", json={"texts": [*workloads.mid(3), "known"]})
                client.post("/embed/image", json={"images": [workloads.data_uri(workloads.jpegs(1, (64, 64))[0])]})
                client.post("/embed/text", json={"texts": []})

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


def empty(server: Prometheus) -> list[str]:
    """Panels with a query that has no number."""
    return [
        f"{panel.title}: {expression}"
        for panel in prometheus.panels()
        for expression, _ in panel.queries
        if all(math.isnan(float(series["value"][1])) for series in server.query(expression))
    ]


def test_no_panel_is_empty(service: RunningService) -> None:
    with loaded(service), prometheus.scraping(f"127.0.0.1:{service.port}") as server:
        wait_for(lambda: server.scrapes() >= 12, what="twelve scrapes")
        wait_for(lambda: not empty(server), what="numbers in every panel")
        [ready] = server.query("sum by (deployment) (embedding_replicas{deployment='Ingress'})")
        assert ready["value"][1] == "2"
        # Such an answer is what the check takes for empty.
        assert server.query("embedding_no_such_metric") == []
