"""Start, stop, and what is left of a service that runs with this test's own settings."""

import signal
import socket
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import pytest
import yaml

from app.system import ports
from loadtests.running import (
    ROOT,
    STOP_S,
    RunningService,
    clean_environment,
    listening,
    running,
    wait_for,
    write_config,
)


def serves(service: RunningService) -> None:
    answer = httpx.post(f"{service.url}/embed/text", json={"texts": ["hello"]}, timeout=30)
    assert answer.status_code == 200, f"{answer.text} {answer.headers}"
    assert answer.json()["dimensions"] == 384


def leaves_nothing(service: RunningService, was_listening: set[int]) -> None:
    wait_for(lambda: not service.processes(), 5, lambda: f"the end of {service.processes()}")
    assert service.port in was_listening

    def held() -> list[str]:
        return [f"{port} by {holder}" for port in was_listening if (holder := ports.holder(port)) is not None]

    # A process that is just ending can't be looked at any more, and has its ports still.
    wait_for(lambda: not held(), 5, lambda: f"the end of listening: {held()}")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stop_leaves_no_process_and_no_port(tmp_path: Path, number: int) -> None:
    with running(write_config(tmp_path)) as service:
        serves(service)
        names = {process.name() for process in service.processes()}
        assert {"raylet", "gcs_server", "haproxy"} <= names
        assert len(service.named("TextEncoder")) == len(service.named("CacheActor")) == 1
        open_ports = listening(service.processes())
        assert service.stop(number) <= STOP_S
        leaves_nothing(service, open_ports)
        assert service.process.returncode == 0


def test_killed_launcher_leaves_nothing_either(tmp_path: Path) -> None:
    with running(write_config(tmp_path)) as service:
        open_ports = listening(service.processes())
        service.process.kill()
        service.process.wait()
        wait_for(lambda: not service.processes(), 30, "the end of every process")
        leaves_nothing(service, open_ports)


def test_two_services_live_side_by_side(service: RunningService, tmp_path: Path) -> None:
    with running(write_config(tmp_path)) as second:
        assert listening(second.processes()).isdisjoint(listening(service.processes()))
        serves(second)
        httpx.post(f"{second.url}/cache/clear").raise_for_status()
        assert second.stop() <= STOP_S
    serves(service)


def test_plain_serve_run(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    [port] = ports.free(1)
    data = yaml.safe_load(config.read_text())
    data["http_options"]["port"] = port
    config.write_text(yaml.safe_dump(data))
    command = (str(Path(sys.executable).parent / "serve"), "run", str(config))
    # A Ray of its own, whatever address a killed one has left behind for this machine's next.
    with (
        TemporaryDirectory(prefix="ray-", dir="/tmp") as folder,
        running(config, command, port=port, RAY_TMPDIR=folder) as service,
    ):
        serves(service)
        open_ports = listening(service.processes())
        service.stop()
        leaves_nothing(service, open_ports)


def test_port_in_use_names_the_holder_and_what_to_do(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "-m", "app", "--config", str(write_config(tmp_path))],
            env=clean_environment(PORT=str(port)),
            cwd=ROOT,
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
def test_bad_settings_are_named_and_nothing_starts(variables: dict[str, str], words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "app"],
        env=clean_environment(**variables),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert words.lower() in done.stderr.lower()
    assert "Traceback" not in done.stderr
