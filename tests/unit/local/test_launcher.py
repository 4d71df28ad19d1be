"""The launcher's own questions to the service. Starting and stopping one: tests/cluster/test_lifecycle.py."""

import errno
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from inspect import signature
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from app.config.settings import LaunchSettings
from app.local import launcher
from app.local.launcher import PLAIN_PROXY, Launcher
from app.system import ports, processes
from app.system.processes import end_descendants
from app.telemetry.start_steps import STARTED
from loadtests.kept_port import kept_port
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


def launching(said: list[str], **settings: Any) -> Launcher:
    return Launcher(LaunchSettings(**settings), "serve_config.yaml", said.append)


@contextmanager
def answering(body: bytes, status: int = 200) -> Iterator[int]:
    """A server that gives every request this answer; its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Silent."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def test_a_port_of_a_service_that_works_is_never_called_a_leftover(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever its process is called, and whoever started it."""
    monkeypatch.setattr(launcher, "is_left_over", lambda holder: True)
    monkeypatch.setattr(ports, "free_above", lambda port, host: 3999)
    said: list[str] = []
    with answering(b'{"status": "alive"}') as port:
        assert launching(said, port=port).run() == 1
    name = f"{psutil.Process().name()} (pid {os.getpid()})"
    assert said == [
        (
            f"Port {port} is taken by a service that works: {name} answers at http://127.0.0.1:{port}. Use that one, "
            "or start a second one beside it: PORT=3999 make serve"
        )
    ]


@pytest.mark.parametrize(("body", "status"), [(b"hello", 200), (b"[]", 200), (b"{}", 503)])
def test_a_port_of_another_program_is_left_to_it(body: bytes, status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "free_above", lambda port, host: 3999)
    said: list[str] = []
    with answering(body, status) as port:
        assert launching(said, port=port).run() == 1
    name = f"{psutil.Process().name()} (pid {os.getpid()})"
    assert said == [f"Port {port} is taken by {name}. Choose another port: PORT=3999 make serve"]


def test_what_a_killed_service_left_is_named_with_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "free_above", lambda port, host: 3999)
    monkeypatch.setattr(launcher, "is_left_over", lambda holder: True)
    said: list[str] = []
    with answering(b"", 503) as port:
        assert launching(said, port=port).run() == 1
    assert f"It answers nobody. End it with `kill {os.getpid()}`".lower() in said[0].replace(": it", ". it").lower()


@pytest.mark.parametrize(
    ("command", "parents", "left_over"),
    [
        (["haproxy", "-f", "/t/embed-0/3000/ab/haproxy.cfg"], ["init"], True),
        (["haproxy", "-f", "/t/haproxy-serve/ab/haproxy.cfg"], ["python", "init"], True),
        (["haproxy", "-f", "/t/embed-0/3000/ab/haproxy.cfg"], ["ray::HAProxyManager", "raylet", "init"], False),
        (["haproxy", "-f", "/etc/haproxy/haproxy.cfg"], ["init"], False),
        (["postgres"], ["init"], False),
    ],
)
def test_only_an_haproxy_without_its_rayis_left_over(command: list[str], parents: list[str], left_over: bool) -> None:
    above = [SimpleNamespace(name=lambda name=name: name) for name in parents]
    holder: Any = SimpleNamespace(cmdline=lambda: command, parents=lambda: above)
    assert launcher.is_left_over(holder) is left_over


def test_a_port_of_the_administrators_is_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "refusal", lambda port, host: PermissionError(errno.EACCES, "no"))
    monkeypatch.setattr(ports, "free_above", lambda port, host: port + 1)
    said: list[str] = []
    assert launching(said, port=80).run() == 1
    assert said == ["Port 80 is for the administrator's programs only. Choose another port: PORT=3000 make serve"]


def test_too_few_open_files_are_told_before_anything_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "allow_open_files", lambda: 256)
    said: list[str] = []
    assert launching(said).run() == 1
    assert said == ["A service needs 1024 open files; 256 are allowed here (ulimit -Hn)."]


def test_the_launcher_asks_past_every_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with answering(b"{}") as port:
        assert launching([], port=port).health() == {}


MODEL = {"kind": "text", "id": "m", "dimensions": 8, "backend": "b", "precision": "f32", "reason": None, "note": None}
BUILT_IN = MODEL | {
    "kind": "image",
    "id": "shapes-clip",
    "status": "ready",
    "note": "clip is not available; shapes-clip …",
}


@pytest.mark.parametrize(
    ("health", "words"),
    [
        ({"status": "healthy"}, "healthy"),
        ({"status": "healthy", "details": [MODEL | {"status": "ready"}]}, "healthy"),
        ({"status": "degraded", "details": [BUILT_IN]}, "ready; images by the built-in model"),
        ({"status": "degraded", "details": [BUILT_IN, MODEL | {"status": "unavailable"}]}, "degraded"),
        ({"status": "degraded", "details": [BUILT_IN], "cache": {"available": False}}, "degraded"),
    ],
)
def test_the_built_in_image_model_is_no_alarm(health: dict[str, Any], words: str) -> None:
    assert launcher.summary({"cache": {"available": True}} | health) == words


@pytest.mark.parametrize(
    ("port", "python", "logs"),
    [
        (3000, f"{Path.cwd()}/.venv/bin/python", ".venv/bin/python"),
        (3456, "/usr/bin/python3", "PORT=3456 /usr/bin/python3"),
    ],
)
def test_the_banner_says_where_everything_is(
    port: int, python: str, logs: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.local.launcher.sys.executable", python)
    said: list[str] = []
    health = {"status": "degraded", "details": [MODEL | {"status": "ready"}, BUILT_IN], "cache": {"available": True}}
    Launcher(LaunchSettings(port=port), "serve_config.yaml", said.append)._announce(health, 4.25)  # noqa: SLF001
    url = f"http://127.0.0.1:{port}"
    json = "-H 'content-type: application/json'"
    assert "\n".join(said).splitlines() == [
        "",
        f"Ready after 4.2 s: {url}   (ready; images by the built-in model)",
        "  text  m: 8 dimensions, b f32",
        "  image shapes-clip: 8 dimensions, b f32",
        "        clip is not available; shapes-clip …",
        f"  page  {url}/   documentation: {url}/docs",
        f'  try   curl -s {url}/embed/text {json} -d \'{{"texts": ["Hello"]}}\'',
        f"  logs  {logs} -m app logs --follow",
        "  stop  Ctrl-C",
    ]


# In place of the child: it tells its steps, and then starts, refuses or fails.
STEPS = """#!/bin/sh
echo 'Ray: starting' >> "$EMBEDDING_STEPS"
echo 'm is NOT AVAILABLE: the hub has no such public repository' >> "$EMBEDDING_STEPS"
{end}
"""


@pytest.mark.parametrize(
    ("end", "code", "last"),
    [
        ("exit 78", 1, []),
        ("exit 7", 1, ["The service ended by itself (exit code 7); see the messages above.", "Stopped."]),
        (
            f"echo '{STARTED}' >> \"$EMBEDDING_STEPS\"; sleep 1; kill -INT $PPID; exec sleep 60",
            0,
            [
                "Started after N s, but no text model works; see above, or http://127.0.0.1:PORT/health",
                "Stopping …",
                "Stopped.",
            ],
        ),
    ],
)
@pytest.mark.skipif(sys.platform != "linux", reason="Serve's HAProxy is Linux's")
def test_each_step_of_a_start_is_shown_and_a_failed_model_with_its_reason(
    end: str, code: int, last: list[str], tmp_path: Path
) -> None:
    child = tmp_path / "python"
    child.write_text(STEPS.format(end=end))
    child.chmod(0o700)
    with kept_port() as port:
        done = launch(child, port, "0.0.0.0")  # noqa: S104
    lines = [re.sub(r"\d+\.\d s", "N s", line).replace(str(port), "PORT") for line in done.stdout.splitlines() if line]
    shown = [line for line in lines if not line.startswith("  ") or "N s" in line]
    assert done.returncode == code
    steps = ["Python packages: loading", "Ray: starting", "m is NOT AVAILABLE: the hub has no such public repository"]
    steps += [STARTED] if last and len(last) > 2 else []
    assert shown == [f"   N s  {step}" for step in steps] + last


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
settings = LaunchSettings(host=sys.argv[3], port=port)
launcher.ports.addresses = lambda host: {"localhost": [(10, "::1"), (2, "127.0.0.1")]}.get(host) or [(2, host)]
sys.exit(launcher.Launcher(settings, "serve_config.yaml", print, _haproxy="/bin/false").run())
"""


def launch(child: Path, port: int, host: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", LAUNCHER, child, str(port), host],
        cwd=ROOT,
        env=clean_environment(PORT=str(port)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("host", "plain"),
    [("0.0.0.0", "0.0.0.0"), ("localhost", "127.0.0.1")],  # noqa: S104
)
@pytest.mark.skipif(sys.platform != "linux", reason="Serve's HAProxy is Linux's")
def test_a_configuration_of_another_kind_is_served_without_haproxy(host: str, plain: str, tmp_path: Path) -> None:
    """Serve's own proxy binds one address: of two, IPv4's."""
    child = tmp_path / "python"
    child.write_text(CHILD)
    child.chmod(0o700)
    with kept_port() as port:
        done = launch(child, port, host)
    starts = [line for line in done.stderr.splitlines() if " at " in line and "configuration" not in line]
    assert starts == ["HAProxy at 127.0.0.1", f"plain proxy at {plain}"]
    left_out = "HAProxy is left out, as Serve configures it in an unknown way (it would listen at *:81 ssl too): "
    assert [line for line in done.stdout.splitlines() if not line.endswith("Python packages: loading")] == [
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
