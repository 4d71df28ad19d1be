"""A cluster may get more nodes: what has no room yet is waited for, and named meanwhile."""

import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from loadtests import running as running_service
from loadtests.running import RunningService, folder, running, wait_for, write_config
from tests.support import web

MINILM = "sentence-transformers/all-MiniLM-L6-v2"


def cpus_of_ray() -> float:
    """A container may have fewer than the machine."""
    program = "from ray._private.utils import get_num_cpus; print(get_num_cpus())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return float(done.stdout.splitlines()[-1])


def answers(service: RunningService) -> bool:
    try:
        return web.get(f"{service.url}/livez", timeout=300).status_code == 200
    except httpx.TransportError:
        return False


def health(service: RunningService) -> httpx.Response:
    return web.get(f"{service.url}/health", timeout=300)


def test_what_a_cluster_has_no_room_for_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running_service, "_healthy", answers)  # which it never is
    cpus = cpus_of_ray()
    # As many as fit, less what one more reserves.
    models = [{"id": name, "num_cpus": cpus / 5} for name in (MINILM, *(f"no/model-{n}" for n in range(4)))]
    config = write_config(tmp_path, text_models=models, image_models=[])
    with running(config, way="plain", RAY_TMPDIR=str(folder("waiting"))) as service:
        named = "Similarity has no replica yet; one reserves 0.4 CPU."
        wait_for(lambda: named in health(service).text, what=lambda: health(service).text)
        wait_for(lambda: "Resources required for each replica" in health(service).text, 120)  # in Serve's words
        answer = health(service)
        assert (answer.status_code, answer.json()["status"]) == (503, "starting")
        assert answers(service)
