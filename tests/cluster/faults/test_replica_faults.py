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
from tests.support import web
from tests.support.ending import leaves_nothing
from tests.support.oracle import Oracle
from tests.support.poison import DRIFTED, POISON
from tests.support.samples import of, samples_of
from tests.support.scaled import ENCODER, gauge


def encoders(service: RunningService) -> dict[int, psutil.Process]:
    return {process.pid: process for process in service.named(ENCODER)}


def serving_encoders(service: RunningService) -> int:
    """Those that are there, if Serve counts as many: a process is there before it serves."""
    counted = gauge(service, "embedding_replicas", ENCODER)
    return len(found) if len(found := encoders(service)) == counted else 0


def retried(service: RunningService) -> float:
    samples = samples_of(web.get(f"{service.url}/metrics", timeout=300))
    return sum(of(samples, "embedding_retried_items_total").values())


def post(service: RunningService, path: str, body: Any) -> httpx.Response:
    return web.post(f"{service.url}{path}", json=body, timeout=300)


def statuses(answers: Iterable[httpx.Response]) -> Counter[int]:
    return Counter(answer.status_code for answer in answers)


def are_vectors_of(oracle: Oracle, texts: list[str], rows: list[list[float]]) -> bool:
    """Whether each row is its own text's, in whatever precision this CPU has."""
    cosines = np.array(rows) @ oracle(texts).T
    return bool(cosines.diagonal().min() > 0.999 and (cosines.argmax(1) == np.arange(len(texts))).all())


def test_the_killer_is_rejected_and_everyone_else_is_answered(two_encoders: RunningService, oracle: Oracle) -> None:
    before = encoders(two_encoders)
    mates = [f"mate {i} {uuid.uuid4()}" for i in range(20)]
    others = [f"other {i} {uuid.uuid4()}" for i in range(30)]
    items = [{"text": text} for text in [*mates[:10], POISON, *mates[10:]]]
    with ThreadPoolExecutor(9) as threads:
        together = threads.submit(post, two_encoders, "/embed/batch", {"items": items})
        answers = list(threads.map(lambda text: post(two_encoders, "/embed/text", {"texts": [text]}), others))
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
    # The killer, and whatever went in the same call.
    wait_for(lambda: retried(two_encoders) > 1, what="the count of what was tried again")
    # Twice, and no third time.
    wait_for(lambda: serving_encoders(two_encoders) == 2, what="two encoders again")
    assert len(set(before) - set(encoders(two_encoders))) <= 2


def test_a_request_with_the_killer_alone_is_503_and_names_it(two_encoders: RunningService) -> None:
    wait_for(lambda: serving_encoders(two_encoders) == 2, what="two encoders")
    answer = post(two_encoders, "/embed/text", {"texts": [POISON]})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (503, "request_rejected", "texts.0")
    assert "two replicas" in error["message"].lower()
    after = post(two_encoders, "/embed/text", {"texts": [f"after {uuid.uuid4()}"]})
    assert after.status_code == 200


def test_a_replica_that_hangs_delays_and_never_hangs_its_callers(two_encoders: RunningService) -> None:
    wait_for(lambda: serving_encoders(two_encoders) == 2, what="two encoders")
    stopped = next(iter(encoders(two_encoders).values()))
    stopped.send_signal(signal.SIGSTOP)
    try:
        with ThreadPoolExecutor(8) as threads:
            texts = [[f"while one hangs {i} {uuid.uuid4()}"] for i in range(24)]
            answers = list(threads.map(lambda some: post(two_encoders, "/embed/text", {"texts": some}), texts))
    finally:
        stopped.send_signal(signal.SIGCONT)
    failed = [answer.text for answer in answers if answer.status_code != 200]
    assert (statuses(answers), failed) == ({200: len(texts)}, [])


def test_what_an_ingress_takes_with_it_another_one_answers(two_encoders: RunningService) -> None:
    """No client tries again here: HAProxy does."""
    wait_for(lambda: serving_encoders(two_encoders) == 2, what="two encoders")
    ingresses = wait_for(lambda: two(two_encoders.named("Ingress")), what="two ingresses")
    stopped = list(encoders(two_encoders).values())
    texts = [[f"while its ingress ends {i} {uuid.uuid4()}"] for i in range(12)]
    with ThreadPoolExecutor(len(texts)) as threads:
        for encoder in stopped:
            encoder.send_signal(signal.SIGSTOP)
        try:
            answers = threads.map(lambda some: post(two_encoders, "/embed/text", {"texts": some}), texts)
            wait_for(lambda: in_progress(two_encoders) >= len(texts), what="all requests at the ingresses")
            ingresses[0].kill()
            ingresses[0].wait()
        finally:
            for encoder in stopped:
                encoder.send_signal(signal.SIGCONT)
        assert statuses(answers) == {200: len(texts)}
    wait_for(lambda: two(two_encoders.named("Ingress")), what="two ingresses again")


def two(processes: list[psutil.Process]) -> list[psutil.Process]:
    return processes if len(processes) == 2 else []


def in_progress(service: RunningService) -> float:
    samples = samples_of(web.get(f"{service.url}/metrics", timeout=300))
    return sum(of(samples, "embedding_requests_in_progress").values())


def test_a_model_that_fails_its_self_test_does_not_serve_and_the_others_do(two_encoders: RunningService) -> None:
    health = web.get(f"{two_encoders.url}/health", timeout=300)
    states = {model["id"]: model for model in health.json()["details"]}
    assert (health.status_code, health.json()["status"]) == (200, "degraded")
    assert states[DRIFTED]["status"] == "unavailable"
    assert f"{DRIFTED} failed its self-test" in states[DRIFTED]["reason"]
    answer = post(two_encoders, "/embed/text", {"texts": ["a"], "model": DRIFTED})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (503, "model_unavailable")
    assert "self-test" in error["message"]
    assert post(two_encoders, "/embed/text", {"texts": ["a"]}).status_code == 200


@pytest.mark.last
def test_a_killed_launcher_leaves_nothing_and_a_service_beside_it_goes_on(
    two_encoders: RunningService, service: RunningService
) -> None:
    """The end of the one, which many tests have used, and the start of the other, which many will."""
    open_ports = listening(two_encoders.processes())
    assert open_ports.isdisjoint(listening(service.processes()))
    for each in (two_encoders, service):
        assert post(each, "/embed/text", {"texts": [f"beside {uuid.uuid4()}"]}).status_code == 200
    web.post(f"{two_encoders.url}/cache/clear").raise_for_status()
    two_encoders.process.kill()
    two_encoders.process.wait()
    wait_for(lambda: not two_encoders.processes(), what="the end of every process")
    leaves_nothing(two_encoders, open_ports)
    assert post(service, "/embed/text", {"texts": [f"after it {uuid.uuid4()}"]}).status_code == 200
