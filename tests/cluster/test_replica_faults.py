"""A text that kills the process that encodes it, a replica that hangs, a model that drifted: whom they cost."""

import json
import shutil
import signal
import sys
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
import pytest

from app.config.args import ModelArgs
from app.encoders.self_test import SelfTest
from app.encoders.text import load_text_model
from app.encoders.weights import resolve
from loadtests.running import RunningService, running, wait_for, write_config
from tests.support.oracle import Oracle
from tests.support.poison import POISON
from tests.support.samples import of, samples_of

TWO = {"autoscaling": {"min_replicas": 2, "max_replicas": 2}}


@pytest.fixture(scope="module")
def poisoned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    folder = tmp_path_factory.mktemp("poisoned")
    # In f32, whose vectors are the oracle's to 1e-3; bf16 is compared elsewhere.
    model = {"id": "sentence-transformers/all-MiniLM-L6-v2", "precision": "f32", "num_cpus": 0.2, **TWO}
    model["health_check_period_s"] = 1
    drifted = {"id": str(drifted_model(folder / "drifted", folder)), "cache_dir": str(folder), "num_cpus": 0.1}
    config = write_config(folder, text_models=[model, drifted], image_models=[], ingress={"num_cpus": 0.2, **TWO})
    command = (sys.executable, "-m", "tests.support.poisoned", "--config", str(config))
    with running(config, command) as service:
        wait_for(lambda: running_encoders(service) == 2, 120, "the second encoder")
        yield service


def drifted_model(folder: Path, cache: Path) -> Path:
    """MiniLM without its normalisation, which is another model, and a recording of vectors that it does not make."""
    original = resolve("all-MiniLM-L6-v2", offline=True).directory
    shutil.copytree(original, folder)
    modules = json.loads((folder / "modules.json").read_text())
    (folder / "modules.json").write_text(json.dumps([m for m in modules if "Normalize" not in m["type"]]))
    load_text_model(ModelArgs(id=str(folder), cache_dir=str(cache)), threads=2, offline=True)
    [recording] = cache.glob("golden-*.json")
    recorded = SelfTest.from_json(json.loads(recording.read_text()))
    recording.write_text(json.dumps(SelfTest(recorded.texts[::-1]).to_json()))
    return folder


def encoders(service: RunningService) -> dict[int, psutil.Process]:
    return {process.pid: process for process in service.named("TextEncoder-all-MiniLM")}


def running_encoders(service: RunningService) -> float:
    """As Serve counts them: a process is there before it serves."""
    samples = samples_of(httpx.get(f"{service.url}/metrics", timeout=10))
    return of(samples, "embedding_replicas").get(("TextEncoder-all-MiniLM-L6-v2",), 0)


def retried(service: RunningService) -> float:
    samples = samples_of(httpx.get(f"{service.url}/metrics", timeout=10))
    return sum(of(samples, "embedding_retried_items_total").values())


def post(service: RunningService, path: str, body: Any) -> httpx.Response:
    return httpx.post(f"{service.url}{path}", json=body, timeout=60)


def test_the_killer_is_rejected_and_everyone_else_is_answered(poisoned: RunningService, oracle: Oracle) -> None:
    before = encoders(poisoned)
    mates = [f"mate {i} {uuid.uuid4()}" for i in range(20)]
    others = [f"other {i} {uuid.uuid4()}" for i in range(30)]
    items = [{"text": text} for text in [*mates[:10], POISON, *mates[10:]]]
    with ThreadPoolExecutor(9) as threads:
        together = threads.submit(post, poisoned, "/embed/batch", {"items": items})
        answers = list(threads.map(lambda text: post(poisoned, "/embed/text", {"texts": [text]}), others))
        batch = together.result()
    assert batch.status_code == 200, batch.text
    told = batch.json()
    assert told["items"][10]["error"]["code"] == "request_rejected"
    assert told["items"][10]["error"]["param"] == "items.10"
    rows = [row for i, row in enumerate(told["embeddings"]) if i != 10]
    assert np.abs(np.array(rows) - oracle(mates)).max() < 1e-3
    assert [answer.status_code for answer in answers] == [200] * len(others)
    rows = [answer.json()["embeddings"][0] for answer in answers]
    assert np.abs(np.array(rows) - oracle(others)).max() < 1e-3
    wait_for(lambda: retried(poisoned) >= len(mates) + 1, what="the count of what was tried again")
    # Twice, and no third time.
    wait_for(lambda: len(encoders(poisoned)) == 2, 60, "two encoders again")
    assert len(set(before) - set(encoders(poisoned))) <= 2


def test_a_request_with_the_killer_alone_is_503_and_names_it(poisoned: RunningService) -> None:
    wait_for(lambda: len(encoders(poisoned)) == 2, 60, "two encoders")
    answer = post(poisoned, "/embed/text", {"texts": [POISON]})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (503, "request_rejected", "texts.0")
    assert "two replicas" in error["message"].lower()
    after = post(poisoned, "/embed/text", {"texts": [f"after {uuid.uuid4()}"]})
    assert after.status_code == 200


def test_a_replica_that_hangs_delays_and_never_hangs_its_callers(poisoned: RunningService) -> None:
    wait_for(lambda: len(encoders(poisoned)) == 2, 60, "two encoders")
    stopped = next(iter(encoders(poisoned).values()))
    stopped.send_signal(signal.SIGSTOP)
    try:
        with ThreadPoolExecutor(8) as threads:
            texts = [[f"while one hangs {i} {uuid.uuid4()}"] for i in range(24)]
            answers = list(threads.map(lambda some: post(poisoned, "/embed/text", {"texts": some}), texts))
    finally:
        stopped.send_signal(signal.SIGCONT)
    assert [answer.status_code for answer in answers] == [200] * len(texts)


def test_what_an_ingress_takes_with_it_another_one_answers(poisoned: RunningService) -> None:
    """No client tries again here: HAProxy does."""
    wait_for(lambda: len(encoders(poisoned)) == 2, 60, "two encoders")
    ingresses = wait_for(lambda: two(poisoned.named("Ingress")), 60, "two ingresses")
    stopped = list(encoders(poisoned).values())
    texts = [[f"while its ingress ends {i} {uuid.uuid4()}"] for i in range(12)]
    with ThreadPoolExecutor(len(texts)) as threads:
        for encoder in stopped:
            encoder.send_signal(signal.SIGSTOP)
        try:
            answers = threads.map(lambda some: post(poisoned, "/embed/text", {"texts": some}), texts)
            wait_for(lambda: in_progress(poisoned) >= len(texts), 30, "all requests at the ingresses")
            ingresses[0].kill()
            ingresses[0].wait()
        finally:
            for encoder in stopped:
                encoder.send_signal(signal.SIGCONT)
        assert [answer.status_code for answer in answers] == [200] * len(texts)
    wait_for(lambda: two(poisoned.named("Ingress")), 60, "two ingresses again")


def two(processes: list[psutil.Process]) -> list[psutil.Process]:
    return processes if len(processes) == 2 else []


def in_progress(service: RunningService) -> float:
    samples = samples_of(httpx.get(f"{service.url}/metrics", timeout=10))
    return sum(of(samples, "embedding_requests_in_progress").values())


def test_a_model_that_fails_its_self_test_does_not_serve_and_the_others_do(poisoned: RunningService) -> None:
    health = httpx.get(f"{poisoned.url}/health", timeout=10)
    states = {model["id"]: model for model in health.json()["details"]}
    assert (health.status_code, health.json()["status"]) == (200, "degraded")
    assert states["drifted"]["status"] == "unavailable"
    assert "drifted failed its self-test" in states["drifted"]["reason"]
    answer = post(poisoned, "/embed/text", {"texts": ["a"], "model": "drifted"})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (503, "model_unavailable")
    assert "self-test" in error["message"]
    assert post(poisoned, "/embed/text", {"texts": ["a"]}).status_code == 200
