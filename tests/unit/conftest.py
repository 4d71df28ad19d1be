"""Tests of this folder may import Ray and never start it."""

import sys
from collections.abc import Iterator

import psutil
import pytest

RAYS = {"raylet", "gcs_server"}


@pytest.fixture(autouse=True)
def no_ray() -> Iterator[None]:
    yield
    if (ray := sys.modules.get("ray")) is not None and getattr(ray, "is_initialized", bool)():
        ray.shutdown()
        pytest.fail("a test in tests/unit has started Ray: it belongs into tests/cluster")


@pytest.fixture(scope="module", autouse=True)
def no_ray_in_a_child() -> Iterator[None]:
    yield
    if found := [process.pid for process in psutil.Process().children(recursive=True) if process.name() in RAYS]:
        pytest.fail(f"a test in tests/unit has started Ray in a program of its own: {found}")
