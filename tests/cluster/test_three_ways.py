"""The same service with the bypass of Serve, without it, and under plain `serve run`: nobody who calls it can tell.

One service a way, for about a minute; the tests of a way run in this order.
"""

import base64
import threading
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import httpx
import numpy as np
import pytest

from loadtests.running import ROOT, WAYS, RunningService, Way, running, wait_for, write_config
from tests.support.oracle import Oracle
from tests.support.samples import of, samples_of

MODEL = "sentence-transformers/all-MiniLM-L6-v2"
ENCODER = "TextEncoder-all-MiniLM-L6-v2"
SCALES = {
    "min_replicas": 1,
    "max_replicas": 2,
    "upscale_delay_s": 0.5,
    "downscale_delay_s": 600,
    "metrics_interval_s": 0.5,
}

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module", params=WAYS)
def way(request: pytest.FixtureRequest) -> Way:
    chosen: Way = request.param
    return chosen


@pytest.fixture(scope="module")
def service(way: Way, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    text = {"id": MODEL, "num_cpus": 0.1, "health_check_period_s": 1, "autoscaling": SCALES}
    image = {"id": "shapes-clip", "num_cpus": 0.1}
    config = write_config(
        tmp_path_factory.mktemp(way), text_models=[text], image_models=[image], ingress={"num_cpus": 0.1}
    )
    with running(config, way=way) as service:
        yield service


def post(service: RunningService, path: str, timeout: float | httpx.Timeout = 60, **body: object) -> httpx.Response:
    return httpx.post(f"{service.url}{path}", json=body, timeout=timeout)


def gauge(service: RunningService, name: str, *labels: str) -> float:
    samples = of(samples_of(httpx.get(f"{service.url}/metrics", timeout=10)), name)
    return sum(value for key, value in samples.items() if set(labels) <= set(key))


@contextmanager
def clients(service: RunningService, count: int) -> Iterator[Counter[int]]:
    """So many ask for new texts, one after the other; the statuses of their answers."""
    over, statuses = threading.Event(), Counter[int]()

    def ask() -> None:
        with httpx.Client(base_url=service.url, timeout=60) as client:
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


def test_a_text(service: RunningService, way: Way, oracle: Oracle) -> None:
    texts = [f"{way}: the cat sat on the mat", f"{way}: stock markets fell sharply"]
    answer = post(service, "/embed/text", texts=texts)
    assert answer.status_code == 200, answer.text
    rows = np.array(answer.json()["embeddings"], np.float32)
    assert (rows * oracle(texts)).sum(1).min() > 0.999
    assert post(service, "/embed/text", texts=texts).json()["cacheHits"] == 2
    assert post(service, "/embed/text", texts=[]).json()["error"]["code"] == "invalid_request"
    # The connection may follow the first call.
    parts = {"shipped": (1, 1)}.get(way, (0, 0))

    def in_use() -> tuple[float, float]:
        post(service, "/embed/text", texts=[str(uuid.uuid4())])
        rpc, middleware = (gauge(service, "embedding_serve_bypass", part) for part in ("rpc", "middleware"))
        return rpc, middleware

    wait_for(lambda: in_use() == parts, what=lambda: f"{parts} in use; it was {in_use()}")


def test_an_image(service: RunningService) -> None:
    circle = base64.b64encode((ROOT / "examples/data/circle.png").read_bytes()).decode()
    image = post(service, "/embed/image", images=[circle])
    assert image.status_code == 200, image.text
    texts = post(service, "/embed/text", texts=["a circle", "a star"], model="shapes-clip").json()["embeddings"]
    shape, other = np.array(texts) @ np.array(image.json()["embeddings"][0])
    assert shape > other


def test_a_client_that_leaves_takes_nobody_with_it(service: RunningService, oracle: Oracle) -> None:
    left = gauge(service, "embedding_requests_total", "499")
    filler = "word " * 200
    texts = [[f"beside it {i} {uuid.uuid4()}"] for i in range(12)]

    def leaves(count: int) -> None:
        many = [f"{uuid.uuid4()} {filler}" for _ in range(count)]
        with suppress(httpx.ReadTimeout):
            post(service, "/embed/text", timeout=httpx.Timeout(30, read=0.25), texts=many)

    with ThreadPoolExecutor(20) as threads:
        # These keep the model busy, so that what comes now is gathered and goes in shared calls.
        leaving = [threads.submit(leaves, 64) for _ in range(2)]
        staying = []
        for some in texts:
            if len(leaving) < 8:
                leaving.append(threads.submit(leaves, 8))
            staying.append(threads.submit(post, service, "/embed/text", texts=some))
        answers = [one.result() for one in staying]
        for one in leaving:
            one.result()
    assert [(answer.status_code, answer.text) for answer in answers if answer.status_code != 200] == []
    rows = np.array([answer.json()["embeddings"][0] for answer in answers], np.float32)
    assert (rows * oracle([text for [text] in texts])).sum(1).min() > 0.999
    wait_for(lambda: gauge(service, "embedding_requests_total", "499") > left, what="the end of those that left")
    # The scrape is one itself.
    wait_for(lambda: gauge(service, "embedding_requests_in_progress") <= 1, what="nothing in progress")
    wait_for(lambda: gauge(service, "embedding_queue_items") == 0, what="empty queues")


def test_one_step_of_autoscaling(service: RunningService) -> None:
    assert gauge(service, "embedding_replicas", ENCODER) == 1
    with clients(service, 16) as statuses:
        wait_for(lambda: gauge(service, "embedding_replicas", ENCODER) == 2, 120, "a second encoder")
    assert set(statuses) == {200}


def test_a_killed_replica(service: RunningService) -> None:
    before = {process.pid: process for process in service.named(ENCODER)}
    assert len(before) == 2
    with clients(service, 8) as statuses:
        wait_for(lambda: statuses[200] > 50, what="some answers")
        killed = next(iter(before.values()))
        killed.kill()
        seen = statuses[200]
        wait_for(lambda: statuses[200] > seen + 100, what="answers after it")
        wait_for(lambda: {p.pid for p in service.named(ENCODER)} - set(before), 60, "another one in its place")
    assert set(statuses) == {200}
