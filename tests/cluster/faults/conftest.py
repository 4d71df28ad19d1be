"""A service to which everything is done: it has two ingresses, an encoder that becomes two, a text that kills it, and
a model that fails its self-test."""

import shutil
import sys
from collections.abc import Iterator

import pytest

from app.encoders.weights import resolve
from loadtests.running import RunningService, running, write_config
from tests.support.poison import DRIFTED
from tests.support.scaled import IMAGE, MINILM, PATIENT, TEXT, scale_up


@pytest.fixture(scope="package")
def harmed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    folder = tmp_path_factory.mktemp("harmed")
    shutil.copytree(resolve(MINILM, offline=True).directory, folder / DRIFTED)
    config = write_config(
        folder,
        text_models=[TEXT, {"id": str(folder / DRIFTED), "num_cpus": 0.1}],
        image_models=[IMAGE],
        ingress={"num_cpus": 0.1, "autoscaling": {"min_replicas": 2, "max_replicas": 2}},
        cache=PATIENT,
    )
    command = (sys.executable, "-m", "tests.support.poisoned", "--config", str(config))
    with running(config, command) as service:
        yield service


@pytest.fixture(scope="package")
def two_encoders(harmed: RunningService) -> RunningService:
    """The same, whatever ran before."""
    scale_up(harmed)
    return harmed
