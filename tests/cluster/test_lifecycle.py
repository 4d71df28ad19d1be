"""Start, stop, and what is left of a service that runs with this test's own settings."""

import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import yaml

from app.system import ports
from loadtests.pictures import b64, file_of, picture
from loadtests.running import (
    STOP_S,
    RunningService,
    clean_environment,
    folder,
    listening,
    running,
    wait_for,
    write_config,
)
from tests.support.ending import leaves_nothing

MINILM = "sentence-transformers/all-MiniLM-L6-v2"


def serves(service: RunningService) -> None:
    answer = httpx.post(f"{service.url}/embed/text", json={"texts": ["hello"]}, timeout=30)
    assert answer.status_code == 200, f"{answer.text} {answer.headers}"
    assert answer.json()["dimensions"] == 384


def test_a_second_service_beside_the_first_and_a_killed_launcher_leaves_nothing(
    service: RunningService, tmp_path: Path
) -> None:
    with running(write_config(tmp_path, image_models=[])) as second:
        open_ports = listening(second.processes())
        assert open_ports.isdisjoint(listening(service.processes()))
        serves(second)
        httpx.post(f"{second.url}/cache/clear").raise_for_status()
        second.process.kill()
        second.process.wait()
        wait_for(lambda: not second.processes(), 30, "the end of every process")
        leaves_nothing(second, open_ports)
    serves(service)


@pytest.mark.last
def test_ctrl_c_ends_every_process_and_leaves_no_port(service: RunningService) -> None:
    serves(service)
    names = {process.name() for process in service.processes()}
    assert {"raylet", "gcs_server", "haproxy"} <= names
    assert len(service.named("TextEncoder")) == len(service.named("CacheActor")) == 1
    open_ports = listening(service.processes())
    assert service.stop(signal.SIGINT) <= STOP_S
    leaves_nothing(service, open_ports)
    assert service.process.returncode == 0


def test_plain_serve_run_has_no_stand_in_for_images(tmp_path: Path) -> None:
    """The launcher alone lets shapes-clip serve where the default image model is not available."""
    config = write_config(tmp_path)
    [port] = ports.free(1)
    data = yaml.safe_load(config.read_text())
    data["http_options"]["port"] = port
    config.write_text(yaml.safe_dump(data))
    command = (str(Path(sys.executable).parent / "serve"), "run", str(config))
    # A Ray of its own, whatever address a killed one has left behind for this machine's next.
    with running(config, command, port=port, RAY_TMPDIR=str(folder("plain"))) as service:
        serves(service)
        assert httpx.get(f"{service.url}/v1/models").json()["data"][0]["id"] == MINILM
        image = {"images": [b64(file_of(picture(1)))]}
        answer = httpx.post(f"{service.url}/embed/image", json=image, timeout=30)
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "model_unavailable")
        assert "shapes-clip" not in answer.text
        open_ports = listening(service.processes())
        service.stop()
        leaves_nothing(service, open_ports)


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
