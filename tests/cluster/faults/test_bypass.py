"""The same service with the bypass of Serve, without it, and under plain `serve run`: nobody who calls it can tell.

The tests of a way run in this order. The service that goes on to other tests begins with one encoder, and the first
load makes it two; the others begin with two, and take this step in tests/slow.
"""

import base64
import json
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from typing import Any

import httpx
import numpy as np
import pytest

from app.config.args import DEFAULT_IMAGE_MODEL
from loadtests.running import ROOT, RunningService, chosen_way, listening, running, wait_for, write_config
from tests.support import web
from tests.support.caching import both_write, stored
from tests.support.ending import leaves_nothing
from tests.support.holding import all_wait, held
from tests.support.oracle import Oracle
from tests.support.scaled import ENCODER, IMAGE, PATIENT, TEXT, clients, gauge

# The service of this way goes on to the other tests of this folder, so it comes last: as it is wherever nothing else is
# said (`TEST_WAY`).
CHOSEN = "chosen"


@pytest.fixture(scope="module", params=["off", "plain", CHOSEN])
def way(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


@pytest.fixture(scope="module")
def service(
    way: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningService]:
    if way == CHOSEN:
        yield request.getfixturevalue("harmed")
        return
    # Only the launcher lets shapes-clip stand in for a model that is not available: plain `serve run` is not told to.
    models: dict[str, Any] = {"image_models": [IMAGE]}
    if way == "plain":
        models = {"image_models": [IMAGE, {"id": DEFAULT_IMAGE_MODEL, "num_cpus": 0.1}], "shapes_clip_may_serve": False}
    two = TEXT | {"autoscaling": {"min_replicas": 2, "max_replicas": 2}}
    config = write_config(
        tmp_path_factory.mktemp(way), text_models=[two], ingress={"num_cpus": 0.1}, cache=PATIENT, **models
    )
    with running(config, way=way) as service:
        wait_for(lambda: gauge(service, "embedding_replicas", ENCODER) == 2, what="two encoders")
        yield service


def post(service: RunningService, path: str, **body: object) -> httpx.Response:
    return web.post(f"{service.url}{path}", json=body, timeout=300)


def test_texts_are_embedded_each_way(service: RunningService, way: str, oracle: Oracle) -> None:
    texts = [f"{way}: the cat sat on the mat", f"{way}: stock markets fell sharply"]
    with httpx.Client(base_url=service.url, timeout=300) as client:
        if way == CHOSEN:  # it has two ingresses
            both_write(client)
        with stored(client, len(texts)):
            answer = post(service, "/embed/text", texts=texts)
    assert answer.status_code == 200, answer.text
    rows = np.array(answer.json()["embeddings"], np.float32)
    assert (rows * oracle(texts)).sum(1).min() > 0.999
    assert post(service, "/embed/text", texts=texts).json()["cacheHits"] == 2
    assert post(service, "/embed/text", texts=[]).json()["error"]["code"] == "invalid_request"
    # The connection may follow the first call.
    parts = (1, 1) if way == CHOSEN and chosen_way() != "off" else (0, 0)

    def in_use() -> tuple[float, float]:
        post(service, "/embed/text", texts=[str(uuid.uuid4())])
        rpc, middleware = (gauge(service, "embedding_serve_bypass", part) for part in ("rpc", "middleware"))
        return rpc, middleware

    wait_for(lambda: in_use() == parts, what=lambda: f"{parts} in use; it was {in_use()}")


def test_images_are_embedded_each_way(service: RunningService, way: str) -> None:
    circle = base64.b64encode((ROOT / "examples/data/circle.png").read_bytes()).decode()
    image = post(service, "/embed/image", images=[circle])
    assert image.status_code == 200, image.text
    texts = post(service, "/embed/text", texts=["a circle", "a star"], model="shapes-clip").json()["embeddings"]
    shape, other = np.array(texts) @ np.array(image.json()["embeddings"][0])
    assert shape > other
    if way == "plain":
        refused = post(service, "/embed/image", images=[circle], model=DEFAULT_IMAGE_MODEL)
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "model_unavailable")
        assert "shapes-clip" not in refused.text


def test_one_step_of_autoscaling(service: RunningService, way: str) -> None:
    if way != CHOSEN:
        pytest.skip("tests/slow/test_ways_scale.py")
    wait_for(lambda: gauge(service, "embedding_replicas", ENCODER) == 1, what="one encoder in the metrics")
    with clients(service, 16) as statuses:
        wait_for(lambda: gauge(service, "embedding_replicas", ENCODER) == 2, what="a second encoder")
    assert set(statuses) == {200}, statuses


def test_a_client_that_leaves_takes_nobody_with_it(service: RunningService, oracle: Oracle) -> None:
    left = gauge(service, "embedding_requests_total", "499")
    texts = [[f"beside it {i} {uuid.uuid4()}"] for i in range(12)]
    leaving = [HTTPConnection("127.0.0.1", service.port) for _ in range(8)]
    with ThreadPoolExecutor(len(texts)) as threads:
        # What comes while the model is busy is gathered and goes in shared calls.
        with held(service.named(ENCODER)):
            for leaver in leaving[:2]:
                leave_soon(leaver, 16)
            staying = []
            for i, some in enumerate(texts):
                if i < len(leaving) - 2:
                    leave_soon(leaving[i + 2], 8)
                staying.append(threads.submit(post, service, "/embed/text", texts=some))
            all_wait(service, len(leaving) + len(texts))
            for leaver in leaving:
                leaver.close()
            wait_for(
                lambda: gauge(service, "embedding_requests_total", "499") == left + len(leaving),
                what="the end of those that left",
            )
        answers = [one.result() for one in staying]
    assert [(answer.status_code, answer.text) for answer in answers if answer.status_code != 200] == []
    rows = np.array([answer.json()["embeddings"][0] for answer in answers], np.float32)
    assert (rows * oracle([text for [text] in texts])).sum(1).min() > 0.999
    # The scrape is one itself.
    wait_for(lambda: gauge(service, "embedding_requests_in_progress") <= 1, what="nothing in progress")
    wait_for(lambda: gauge(service, "embedding_queue_items") == 0, what="empty queues")


def leave_soon(leaver: HTTPConnection, count: int) -> None:
    body = json.dumps({"texts": [f"{uuid.uuid4()} {'word ' * 50}" for _ in range(count)]})
    leaver.request("POST", "/embed/text", body, {"content-type": "application/json"})


def test_a_killed_replica_costs_no_request_each_way(service: RunningService) -> None:
    before = {process.pid: process for process in service.named(ENCODER)}
    assert len(before) == 2
    with clients(service, 8) as statuses:
        wait_for(lambda: statuses[200] > 50, what="some answers")
        killed = next(iter(before.values()))
        killed.kill()
        seen = statuses[200]
        wait_for(lambda: statuses[200] > seen + 100, what="answers after it")
        wait_for(lambda: {p.pid for p in service.named(ENCODER)} - set(before), what="another one in its place")
    assert set(statuses) == {200}, statuses


def test_ctrl_c_ends_plain_serve_run(service: RunningService, way: str) -> None:
    """The launcher's good end is `test_lifecycle.py`'s."""
    if way == "plain":
        open_ports = listening(service.processes())
        service.stop()
        leaves_nothing(service, open_ports)
