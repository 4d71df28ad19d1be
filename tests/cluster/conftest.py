"""One service with two ingress replicas for all cluster tests, and the reference library as oracle."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import httpx
import numpy as np
import pytest

from app.encoders.weights import resolve
from app.types import Vector
from tests.cluster.running import RunningService, running, write_config

Oracle = Callable[[Sequence[str]], Vector]


@pytest.fixture(scope="session")
def image_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `./paths` are beneath."""
    return tmp_path_factory.mktemp("images")


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory, image_folder: Path) -> Iterator[RunningService]:
    two = {"autoscaling": {"min_replicas": 2, "max_replicas": 2}, "num_cpus": 0.2, "max_ongoing_requests": 2048}
    config = write_config(tmp_path_factory.mktemp("config"), ingress=two, image_folder=str(image_folder))
    with running(config) as service:
        yield service


@pytest.fixture
def client(service: RunningService) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service.url, timeout=60) as client:
        yield client


@pytest.fixture(scope="session")
def oracle() -> Oracle:
    """`SentenceTransformer.encode` on the same weights."""
    import sentence_transformers

    model = sentence_transformers.SentenceTransformer(str(resolve("all-MiniLM-L6-v2").directory), device="cpu")

    def encode(texts: Sequence[str]) -> Vector:
        return np.asarray(model.encode(list(texts), batch_size=32), np.float32)

    return encode
