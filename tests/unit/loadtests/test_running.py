"""A service under test, with a program in its place: its environment, and its start where a port is taken."""

import os
import sys
from pathlib import Path
from unittest.mock import MagicMock

import httpx
import psutil
import pytest

from loadtests.running import ROOT, RunningService, clean_environment, running

PROGRAM = """
import http.server, json, os, pathlib, sys
if not os.path.exists(sys.argv[1]):
    pathlib.Path(sys.argv[1]).touch()
    sys.exit(f"Port {os.environ['PORT']} is taken by python (pid 7)")

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps([dict(os.environ), os.getcwd(), sys.path]).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""


def command(mark: Path) -> tuple[str, ...]:
    return (sys.executable, "-c", PROGRAM, str(mark))


def test_it_has_an_environment_of_its_own_and_no_dot_env(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TEXT_MODEL", "AUTH", "RAY_ADDRESS", "OTEL_SDK_DISABLED", "IMAGE_URL_HOSTS", "https_proxy", "ANY"):
        monkeypatch.setenv(name, "of this machine")
    (tmp_path / "mark").touch()
    with running(tmp_path / "config", command(tmp_path / "mark"), TEXT_MODEL="a/b") as service:
        env, where, path = httpx.get(f"{service.url}/health").json()
    ours = {"HOME", "HF_HOME", "XDG_CACHE_HOME", "RAY_TMPDIR", "TMPDIR", "PYTHONPATH", "HF_HUB_OFFLINE"}
    ours |= {"RAY_worker_niceness"}
    ours |= {"PORT", "TEST_SERVICE", "PYTHONUNBUFFERED", "TEXT_MODEL"}
    assert ours <= env.keys()
    assert "of this machine" not in env.values()
    assert env["TEXT_MODEL"] == "a/b"
    assert str(ROOT) in path
    assert list(Path(where).glob(".env")) == []
    assert not Path(where).is_relative_to(ROOT)
    assert {env[name] for name in ("HOME", "HF_HOME", "XDG_CACHE_HOME")}.isdisjoint(os.environ[n] for n in ("HOME",))


def test_a_process_that_ends_while_it_is_looked_at_has_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    class Ended:
        def cmdline(self) -> list[str]:
            raise psutil.NoSuchProcess(7)

    class There(Ended):
        def cmdline(self) -> list[str]:
            return ["ray::ServeReplica:app:Ingress"]

    there = There()
    service = RunningService(MagicMock(), 1, "")
    monkeypatch.setattr(service, "processes", lambda: [Ended(), there])
    assert service.named("Ingress") == [there]


def test_sockets_have_short_names_and_folders_are_shared() -> None:
    first, second = clean_environment(), clean_environment()
    assert first == second
    assert len(first["RAY_TMPDIR"]) <= 38  # 107, less what Ray adds
    assert len(first["TMPDIR"]) <= 8  # HAProxy adds more
    assert Path(first["RAY_TMPDIR"]).is_dir()


def test_where_a_port_is_taken_it_starts_again_with_another(tmp_path: Path) -> None:
    with running(tmp_path / "config", command(tmp_path / "mark")) as service:
        assert (tmp_path / "mark").exists()
        assert httpx.get(f"{service.url}/health").status_code == 200
    assert service.process.returncode is not None


def test_who_asked_for_one_port_is_told(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="is taken by python"):  # noqa: SIM117
        with running(tmp_path / "config", command(tmp_path / "mark"), port=1):
            pass


def test_what_ends_by_itself_for_another_reason_is_told(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="no such file here"):  # noqa: SIM117
        with running(tmp_path / "config", (sys.executable, "-c", "import sys; sys.exit('no such file here')")):
            pass
