"""What holds for every test: folders, Hypothesis' profile, marks and order; and the live service that many share."""

import gc
import os
import warnings
from collections.abc import Iterator, Sequence
from inspect import iscoroutinefunction
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from app.config.args import VARIABLES
from app.encoders.weights import resolve
from app.types import Vector
from loadtests.running import RunningService, folder, running, write_config
from tests.support.aio import bounded
from tests.support.oracle import Oracle

HERE = Path(__file__).parent
FOLDERS = ["unit", "negative_controls", "models", "cluster", "slow"]
# Of the cluster's. The last one's service goes on beside the one that many share.
OWN = ["locked", "faults"]

# No cache of this machine's user and no model that he has: a test means the same everywhere.
# Processes that share the tests share what they convert (TEST_CACHE), and so do the parts of `make test`.
os.environ["XDG_CACHE_HOME"] = os.environ.setdefault("TEST_CACHE", str(folder("cache")))
os.environ["HF_HOME"] = str(folder("home/huggingface"))
# No setting of whoever runs them either, and no `.env` of the checkout.
for name in {*VARIABLES.values(), "HOST", "PORT", "ALLOW_ANONYMOUS", "HF_HUB_CACHE", "CONVERTED_MODELS"}:
    os.environ.pop(name, None)
os.environ["PYTHON_DOTENV_DISABLED"] = "1"
# Of two workers on two cores, one's threads would wait for their next work by spinning on the other's core.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

_every = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}
settings.register_profile("suite", derandomize=True, **_every)  # type: ignore[arg-type]
settings.register_profile("random", derandomize=False, **_every)  # type: ignore[arg-type]
settings.load_profile(os.environ.get("TEST_HYPOTHESIS", "suite"))  # `make test-random` sets the other


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks by folder. What is quick comes first; the service that many share starts when the others have ended."""
    for item in items:
        if (name := _folder(item)) in ("cluster", "slow"):
            item.add_marker(name)
    items.sort(key=_place)


def pytest_collection_finish() -> None:
    """What the imports made is looked at no more: the collections below cost little."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """A file or a socket that was left open warns when it is collected, which fails the test that runs: never one of
    another module."""
    yield
    if nextitem is None or nextitem.path != item.path:
        _collect()


def _collect() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def _folder(item: pytest.Item) -> str:
    return item.path.relative_to(HERE).parts[0]


def _place(item: pytest.Item) -> tuple[int, int, str, bool]:
    """Before the tests with the service that many share come those with none, and those of folders with their own."""
    name = _folder(item)
    last = item.get_closest_marker("last") is not None
    own = next((number for number, part in enumerate(OWN) if part in item.path.parts), None)
    shared = "service" in getattr(item, "fixturenames", ()) and own is None
    folder = FOLDERS.index(name) if name in FOLDERS and not (shared and last) else len(FOLDERS)
    # A folder's tests stay together: what it shares lives no longer.
    return folder, len(OWN) if shared else own or 0, "" if shared else str(item.path.parent), last


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Where `async def` tests run."""
    return "asyncio"


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Iterator[None]:
    """What hangs in an `async def` test is a failure after a minute and a half. With a live service it is pytest's own
    limit that ends it: a busy machine may need longer."""
    if iscoroutinefunction(test := pyfuncitem.obj) and _folder(pyfuncitem) not in ("cluster", "slow"):

        async def within(**arguments: Any) -> None:
            await bounded(test(**arguments))

        pyfuncitem.obj = within
    return (yield)


@pytest.fixture(scope="session")
def image_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `./paths` are beneath."""
    return tmp_path_factory.mktemp("images")


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory, image_folder: Path) -> Iterator[RunningService]:
    """One service with two ingress replicas for all tests that need a real one."""
    two = {"autoscaling": {"min_replicas": 2, "max_replicas": 2}, "num_cpus": 0.2, "max_ongoing_requests": 2048}
    config = write_config(
        tmp_path_factory.mktemp("config"),
        ingress=two,
        image_folder=str(image_folder),
        model_aliases={"text-embedding-3-small": "all-MiniLM-L6-v2"},
        # What a busy machine refuses or gives up is other services' to show.
        limits={"queue_s": 600, "deadline_s": 600},
        # A slower look-up counts as a miss, and a busy machine is slow: what was stored must be found here.
        cache={"deadline_ms": 5000},
    )
    with running(config) as service:
        yield service


@pytest.fixture
def client(service: RunningService) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service.url, timeout=300) as client:
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
    _collect()
