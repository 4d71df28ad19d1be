"""The launcher's own questions to the service. Starting and stopping one: tests/cluster/test_lifecycle.py."""

import socket
import subprocess
import sys
import threading
from inspect import signature
from pathlib import Path

import pytest

from app.config.settings import LaunchSettings
from app.local import launcher
from app.local.launcher import PLAIN_PROXY, Launcher
from app.system import ports
from app.system.processes import end_descendants
from loadtests.running import ROOT, clean_environment


@pytest.mark.parametrize(
    ("answer", "health"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 15\r\n\r\n" + b'{"status":"ok"}', {"status": "ok"}),
        (b"HTTP/1.1 503 Busy\r\ncontent-length: 2\r\n\r\n{}", None),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nnope", None),
        (b"\x00\x00\x12\x04\x00\x00\x00\x00\x00", None),  # HTTP/2's settings frame: a gRPC server has the port
        (b"", None),
    ],
)
def test_health_is_what_the_service_says_once_it_is_well(answer: bytes, health: dict[str, str] | None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def speak() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer)

        speaker = threading.Thread(target=speak)
        speaker.start()
        settings = LaunchSettings(port=server.getsockname()[1])
        assert Launcher(settings, "serve_config.yaml", print).health() == health
        speaker.join()


def test_an_address_of_another_machine_is_named() -> None:
    said: list[str] = []
    settings = LaunchSettings(host="192.0.2.7", port=3999)  # RFC 5737: nobody's
    assert Launcher(settings, "serve_config.yaml", said.append).run() == 1
    assert said == ["HOST=192.0.2.7 is no address of this machine: 127.0.0.1 is, and 0.0.0.0 stands for all it has."]


# Takes the place of the launcher's child: with HAProxy's script it writes a configuration that is not Serve's.
CHILD = """#!/bin/sh
if [ -z "$RAY_SERVE_HAPROXY_BINARY_PATH" ]; then echo "plain proxy at $HOST" >&2; exit 3; fi
echo "HAProxy at $HOST" >&2
file=$RAY_SERVE_HAPROXY_CONFIG_FILE_LOC
printf 'frontend f\\n    bind *:81 ssl\\n    bind 127.0.0.1:%s\\n' "$PORT" > "$file"
"$RAY_SERVE_HAPROXY_BINARY_PATH" -f "$file"
exec sleep 60
"""
LAUNCHER = """
import sys
from app.config.settings import LaunchSettings
from app.local import launcher
port, launcher.sys.executable = int(sys.argv[2]), sys.argv[1]
settings = LaunchSettings(host="0.0.0.0", port=port)
sys.exit(launcher.Launcher(settings, "serve_config.yaml", print, _haproxy="/bin/false").run())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="Serve's HAProxy is Linux's")
def test_a_configuration_of_another_kind_is_served_without_haproxy(tmp_path: Path) -> None:
    child = tmp_path / "python"
    child.write_text(CHILD)
    child.chmod(0o700)
    [port] = ports.free(1)
    done = subprocess.run(
        [sys.executable, "-c", LAUNCHER, child, str(port)],
        cwd=ROOT,
        env=clean_environment(PORT=str(port)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    starts = [line for line in done.stderr.splitlines() if " at " in line and "configuration" not in line]
    assert starts == ["HAProxy at 127.0.0.1", "plain proxy at 0.0.0.0"]
    left_out = "HAProxy is left out, as Serve configures it in an unknown way (it would listen at *:81 ssl too): "
    assert done.stdout.splitlines() == [
        f"{left_out}{PLAIN_PROXY}",
        "The service ended by itself (exit code 3); see the messages above.",
        "Stopped.",
    ]
    assert done.returncode == 1


def test_a_service_that_does_not_end_is_killed_after_its_grace() -> None:
    """A stop takes ten seconds at most, of which this test waits for none."""
    code = """
import subprocess, sys
from app.config.settings import LaunchSettings
from app.local import launcher
launcher.GRACE_S = 0.0
stubborn = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); signal.pause()"
child = subprocess.Popen([sys.executable, "-c", stubborn], stdout=subprocess.PIPE)
child.stdout.readline()
launcher.Launcher(LaunchSettings(), "none", print)._end(child)
print(child.wait())
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    # psutil may have waited for it already; then its exit code is told as 0.
    assert done.stdout.strip() in ("-9", "0"), done.stderr
    patience_s = signature(end_descendants).parameters["patience_s"].default
    assert launcher.GRACE_S + patience_s <= 10
