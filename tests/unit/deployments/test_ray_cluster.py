"""Ray's start, where Ray gives up on it. The imports of Ray warn, and warnings are errors."""

import subprocess
import sys
import warnings
from collections.abc import Iterator

import psutil
import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import ray

    from deployments.ray_cluster import ATTEMPTS, start_ray

SLEEPER = [sys.executable, "-c", "import signal; signal.pause()"]


class FailingRay:
    """Begins a process at each try, as Ray does, and then fails `failures` times."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.begun: list[subprocess.Popen[bytes]] = []
        self.shut_down = 0

    def init(self, **options: object) -> None:
        assert options["object_store_memory"] == 123
        self.begun.append(subprocess.Popen(SLEEPER))
        if len(self.begun) <= self.failures:
            raise Exception("The current node timed out during startup.")

    def shutdown(self) -> None:
        self.shut_down += 1

    def alive(self) -> list[bool]:
        return [psutil.pid_exists(p.pid) and psutil.Process(p.pid).status() != psutil.STATUS_ZOMBIE for p in self.begun]


@pytest.fixture
def other() -> Iterator["subprocess.Popen[bytes]"]:
    """A child that has nothing to do with Ray."""
    process = subprocess.Popen(SLEEPER)
    yield process
    process.kill()
    process.wait()


def failing(failures: int, monkeypatch: pytest.MonkeyPatch) -> FailingRay:
    fake = FailingRay(failures)
    monkeypatch.setattr(ray, "init", fake.init)
    monkeypatch.setattr(ray, "shutdown", fake.shutdown)
    return fake


def test_a_start_that_fails_is_swept_up_and_tried_again(
    other: "subprocess.Popen[bytes]", monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = failing(ATTEMPTS - 1, monkeypatch)
    start_ray(123, "error")
    assert fake.alive() == [False] * (ATTEMPTS - 1) + [True]
    assert fake.shut_down == ATTEMPTS - 1
    assert psutil.Process(other.pid).status() != psutil.STATUS_ZOMBIE
    for process in fake.begun:
        process.kill()
        process.wait()


def test_what_fails_every_time_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = failing(ATTEMPTS, monkeypatch)
    with pytest.raises(Exception, match="timed out during startup"):
        start_ray(123, "error")
    assert fake.alive() == [False] * ATTEMPTS
    for process in fake.begun:
        process.wait()
