"""Start, stop, and what is left of a service that runs with this test's own settings."""

import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from loadtests.running import RunningService, clean_environment, listening, write_config
from tests.support.ending import leaves_nothing


def serves(service: RunningService) -> None:
    answer = httpx.post(f"{service.url}/embed/text", json={"texts": ["hello"]}, timeout=30)
    assert answer.status_code == 200, f"{answer.text} {answer.headers}"
    assert answer.json()["dimensions"] == 384


@pytest.mark.last
def test_ctrl_c_ends_every_process_and_leaves_no_port(service: RunningService) -> None:
    serves(service)
    names = {process.name() for process in service.processes()}
    assert {"raylet", "gcs_server", "haproxy"} <= names
    assert len(service.named("TextEncoder")) == len(service.named("CacheActor")) == 1
    open_ports = listening(service.processes())
    service.stop(signal.SIGINT)
    leaves_nothing(service, open_ports)
    assert service.process.returncode == 0


def test_port_in_use_names_the_holder_and_what_to_do(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "-m", "app", "--config", str(write_config(tmp_path))],
            env=clean_environment(PORT=str(port)),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert done.returncode == 1
    assert f"Port {port} is taken by python" in done.stdout
    assert f"PORT={port + 1} make serve" in done.stdout


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"PORT": "http"}, "PORT: "),
        ({"CACHE_MAX_SIZE": "0"}, "cache.max_size"),
        ({"BATCH_SIZE": "many"}, "batch_size"),
    ],
)
def test_bad_settings_are_named_and_nothing_starts(variables: dict[str, str], words: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "app", "--config", str(write_config(tmp_path))],
        env=clean_environment(**variables),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert words.lower() in done.stderr.lower()
    assert "Traceback" not in done.stderr
