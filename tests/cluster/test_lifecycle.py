"""Start, stop, and what is left of a service that runs with this test's own settings."""

import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest

from app.local.launcher import SERVE_HERE
from app.local.service_folder import log_folder
from loadtests.kept_port import kept_port
from loadtests.running import RunningService, clean_environment, listening, write_config
from tests.support import web
from tests.support.ending import leaves_nothing

MINILM = "sentence-transformers/all-MiniLM-L6-v2"


def serves(service: RunningService) -> None:
    answer = web.post(f"{service.url}/embed/text", json={"texts": ["hello"]}, timeout=300)
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
    assert service.reader is not None
    service.reader.join(300)
    assert any(line.endswith(" s  Python packages: loading\n") for line in service.lines)
    assert any(line.endswith(f" s  {MINILM}: ready\n") for line in service.lines)
    assert service.output().endswith("\nStopping …\nStopped.\n")  # nothing of Ray's
    logs = log_folder(service.port, clean_environment())
    assert logs is not None
    assert logs.parent.name == str(service.port)
    assert {file.name for file in logs.parent.iterdir()} == {"logs"}


def test_the_port_of_a_service_that_works_is_not_taken_from_it(service: RunningService, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "app", "--config", str(write_config(tmp_path))],
        env=clean_environment(PORT=str(service.port)),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 1
    assert f"Port {service.port} is taken by a service that works: haproxy (pid " in done.stdout
    assert f"answers at {service.url}" in done.stdout
    assert "kill" not in done.stdout


def test_what_does_not_fit_is_refused_before_ray_starts(tmp_path: Path) -> None:
    model = {"id": MINILM, "autoscaling": {"min_replicas": 6000, "max_replicas": 6000}}
    with kept_port() as port:
        done = subprocess.run(
            [sys.executable, "-m", "app", "--config", str(write_config(tmp_path, text_models=[model]))],
            env=clean_environment(PORT=str(port)),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=300,
        )
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert len(lines) == 3, done.stdout  # who may use it, the first step, and this
    assert lines[2].startswith("The service needs 1800.7 CPUs, there are ")
    assert done.stderr == ""


def test_port_in_use_names_the_holder_and_what_to_do(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "-m", "app", "--config", str(write_config(tmp_path))],
            env=clean_environment(PORT=str(port)),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=300,
        )
    assert done.returncode == 1
    assert f"Port {port} is taken by {psutil.Process().name()} (pid {os.getpid()})" in done.stdout
    [other] = re.findall(r"PORT=(\d+) make serve", done.stdout)
    assert int(other) != port


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"PORT": "http"}, "PORT must be"),
        ({"CACHE_MAX_SIZE": "0"}, "CACHE_MAX_SIZE must be"),
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
        timeout=300,
    )
    assert done.returncode == 2
    assert words.lower() in done.stderr.lower()
    assert "Traceback" not in done.stderr


def test_haproxy_writes_no_line_for_a_request(service: RunningService) -> None:
    """A process of Serve's would read each, to count it."""
    found = [process.cmdline() for process in service.processes() if process.name() == "haproxy"]
    assert found
    for command in found:
        written = Path(command[command.index("-f") + 1]).read_text()
        assert "bind 127.0.0.1" in written
        assert re.findall(r"^ *log (?!global$).*", written, re.MULTILINE) == []


def test_no_process_has_pandas_or_arrow(service: RunningService) -> None:
    """They are installed, for Ray Data, and take 37 MB in each."""
    assert find_spec("pandas") is not None
    assert find_spec("pyarrow") is not None
    serves(service)
    found = {}
    for process in service.processes():
        with suppress(psutil.Error):
            words = " ".join(process.cmdline())
            if words.startswith("ray::") or SERVE_HERE in words:
                found[words] = any(re.search("/(pandas|pyarrow)/", each.path) for each in process.memory_maps())
    assert len(found) >= 8
    assert [words for words, has_one in found.items() if has_one] == []
