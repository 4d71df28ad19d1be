"""A text that kills the process that encodes it, a replica that hangs, a model that drifted: whom they cost."""

import signal
import uuid
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import numpy as np
import psutil
import pytest

from loadtests.running import RunningService, listening, wait_for
from tests.support.ending import leaves_nothing
from tests.support.oracle import Oracle
from tests.support.poison import DRIFTED, POISON
from tests.support.samples import of, samples_of


def encoders(service: RunningService) -> dict[int, psutil.Process]:
    return {process.pid: process for process in service.named("TextEncoder-all-MiniLM")}


def retried(service: RunningService) -> float:
    samples = samples_of(httpx.get(f"{service.url}/metrics", timeout=10))
    return sum(of(samples, "embedding_retried_items_total").values())


def post(service: RunningService, path: str, body: Any) -> httpx.Response:
    return httpx.post(f"{service.url}{path}", json=body, timeout=60)


def statuses(answers: Iterable[httpx.Response]) -> Counter[int]:
    return Counter(answer.status_code for answer in answers)


def are_vectors_of(oracle: Oracle, texts: list[str], rows: list[list[float]]) -> bool:
    """Whether each row is its own text's, in whatever precision this CPU has."""
    cosines = np.array(rows) @ oracle(texts).T
    return bool(cosines.diagonal().min() > 0.999 and (cosines.argmax(1) == np.arange(len(texts))).all())


def test_the_killer_is_rejected_and_everyone_else_is_answered(harmed: RunningService, oracle: Oracle) -> None:
    before = encoders(harmed)
    mates = [f"mate {i} {uuid.uuid4()}" for i in range(20)]
    others = [f"other {i} {uuid.uuid4()}" for i in range(30)]
    items = [{"text": text} for text in [*mates[:10], POISON, *mates[10:]]]
    with ThreadPoolExecutor(9) as threads:
        together = threads.submit(post, harmed, "/embed/batch", {"items": items})
        answers = list(threads.map(lambda text: post(harmed, "/embed/text", {"texts": [text]}), others))
        batch = together.result()
    assert batch.status_code == 200, batch.text
    told = batch.json()
    assert told["items"][10]["error"]["code"] == "request_rejected"
    assert told["items"][10]["error"]["param"] == "items.10"
    rows = [row for i, row in enumerate(told["embeddings"]) if i != 10]
    assert are_vectors_of(oracle, mates, rows)
    assert statuses(answers) == {200: len(others)}
    rows = [answer.json()["embeddings"][0] for answer in answers]
    assert are_vectors_of(oracle, others, rows)
    wait_for(lambda: retried(harmed) >= len(mates) + 1, what="the count of what was tried again")
    # Twice, and no third time.
    wait_for(lambda: len(encoders(harmed)) == 2, 60, "two encoders again")
    assert len(set(before) - set(encoders(harmed))) <= 2


def test_a_request_with_the_killer_alone_is_503_and_names_it(harmed: RunningService) -> None:
    wait_for(lambda: len(encoders(harmed)) == 2, 60, "two encoders")
    answer = post(harmed, "/embed/text", {"texts": [POISON]})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (503, "request_rejected", "texts.0")
    assert "two replicas" in error["message"].lower()
    after = post(harmed, "/embed/text", {"texts": [f"after {uuid.uuid4()}"]})
    assert after.status_code == 200


def test_a_replica_that_hangs_delays_and_never_hangs_its_callers(harmed: RunningService) -> None:
    wait_for(lambda: len(encoders(harmed)) == 2, 60, "two encoders")
    stopped = next(iter(encoders(harmed).values()))
    stopped.send_signal(signal.SIGSTOP)
    try:
        with ThreadPoolExecutor(8) as threads:
            texts = [[f"while one hangs {i} {uuid.uuid4()}"] for i in range(24)]
            answers = list(threads.map(lambda some: post(harmed, "/embed/text", {"texts": some}), texts))
    finally:
        stopped.send_signal(signal.SIGCONT)
    assert statuses(answers) == {200: len(texts)}


def test_what_an_ingress_takes_with_it_another_one_answers(harmed: RunningService) -> None:
    """No client tries again here: HAProxy does."""
    wait_for(lambda: len(encoders(harmed)) == 2, 60, "two encoders")
    ingresses = wait_for(lambda: two(harmed.named("Ingress")), 60, "two ingresses")
    stopped = list(encoders(harmed).values())
    texts = [[f"while its ingress ends {i} {uuid.uuid4()}"] for i in range(12)]
    with ThreadPoolExecutor(len(texts)) as threads:
        for encoder in stopped:
            encoder.send_signal(signal.SIGSTOP)
        try:
            answers = threads.map(lambda some: post(harmed, "/embed/text", {"texts": some}), texts)
            wait_for(lambda: in_progress(harmed) >= len(texts), 30, "all requests at the ingresses")
            ingresses[0].kill()
            ingresses[0].wait()
        finally:
            for encoder in stopped:
                encoder.send_signal(signal.SIGCONT)
        assert statuses(answers) == {200: len(texts)}
    wait_for(lambda: two(harmed.named("Ingress")), 60, "two ingresses again")


def two(processes: list[psutil.Process]) -> list[psutil.Process]:
    return processes if len(processes) == 2 else []


def in_progress(service: RunningService) -> float:
    samples = samples_of(httpx.get(f"{service.url}/metrics", timeout=10))
    return sum(of(samples, "embedding_requests_in_progress").values())


def test_a_model_that_fails_its_self_test_does_not_serve_and_the_others_do(harmed: RunningService) -> None:
    health = httpx.get(f"{harmed.url}/health", timeout=10)
    states = {model["id"]: model for model in health.json()["details"]}
    assert (health.status_code, health.json()["status"]) == (200, "degraded")
    assert states[DRIFTED]["status"] == "unavailable"
    assert f"{DRIFTED} failed its self-test" in states[DRIFTED]["reason"]
    answer = post(harmed, "/embed/text", {"texts": ["a"], "model": DRIFTED})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (503, "model_unavailable")
    assert "self-test" in error["message"]
    assert post(harmed, "/embed/text", {"texts": ["a"]}).status_code == 200


@pytest.mark.last
def test_a_killed_launcher_leaves_nothing_and_a_service_beside_it_goes_on(
    harmed: RunningService, service: RunningService
) -> None:
    """The end of the one, which many tests have used, and the start of the other, which many will."""
    open_ports = listening(harmed.processes())
    assert open_ports.isdisjoint(listening(service.processes()))
    for each in (harmed, service):
        assert post(each, "/embed/text", {"texts": [f"beside {uuid.uuid4()}"]}).status_code == 200
    httpx.post(f"{harmed.url}/cache/clear").raise_for_status()
    harmed.process.kill()
    harmed.process.wait()
    wait_for(lambda: not harmed.processes(), 30, "the end of every process")
    leaves_nothing(harmed, open_ports)
    assert post(service, "/embed/text", {"texts": [f"after it {uuid.uuid4()}"]}).status_code == 200
