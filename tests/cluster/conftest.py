"""A client of the service that all tests share, and the reference library as oracle."""

import gc
import warnings
from collections.abc import Iterator, Sequence

import httpx
import numpy as np
import pytest

from app.encoders.weights import resolve
from app.types import Vector
from loadtests.running import RunningService
from tests.support.oracle import Oracle


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
