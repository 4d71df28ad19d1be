"""A client of the service that all tests share, and the reference library as oracle."""

import gc
import warnings
from collections.abc import Callable, Iterator, Sequence

import httpx
import numpy as np
import pytest

from app.encoders.weights import resolve
from app.types import Vector
from tests.support.running import RunningService, chosen_way

Oracle = Callable[[Sequence[str]], Vector]
# Tests of what only the launcher, HAProxy or Serve's flags do.
NOT_PLAIN = {"test_access.py", "test_client_headers.py", "test_fuzz.py", "test_lifecycle.py"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if chosen_way() == "plain":
        for item in items:
            if item.path.name in NOT_PLAIN:
                item.add_marker(pytest.mark.skip(reason="plain `serve run` has no launcher and no flags"))


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


@pytest.fixture
def forgotten_clients() -> Iterator[None]:
    """Some libraries' clients are never closed: their sockets end here, and not in the middle of another test."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
