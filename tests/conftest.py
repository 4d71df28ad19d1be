"""One service with two ingress replicas for all tests that need a real one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from loadtests import autogroup
from loadtests.running import RunningService, running, write_config


@pytest.fixture(scope="session", autouse=True)
def own_share() -> Iterator[None]:
    """A service that starts or works must not take this process's CPU, and so its clients' patience."""
    with autogroup.off():
        yield


@pytest.fixture(scope="session")
def image_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `./paths` are beneath."""
    return tmp_path_factory.mktemp("images")


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory, image_folder: Path) -> Iterator[RunningService]:
    two = {"autoscaling": {"min_replicas": 2, "max_replicas": 2}, "num_cpus": 0.2, "max_ongoing_requests": 2048}
    aliases = {"text-embedding-3-small": "all-MiniLM-L6-v2"}
    folder = tmp_path_factory.mktemp("config")
    config = write_config(folder, ingress=two, image_folder=str(image_folder), model_aliases=aliases)
    with running(config) as service:
        yield service
