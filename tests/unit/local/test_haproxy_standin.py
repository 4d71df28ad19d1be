"""A real HAProxy is killed: who answers meanwhile, and who takes over from whom."""

import fcntl
import json
import socket
import subprocess
import sys
import termios
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import psutil
import pytest

from app.local import haproxy, serve_environment
from app.system import ports
from loadtests.faults.overload import Probe
from loadtests.running import wait_for

CONFIG = """global
    stats socket {folder}/admin.sock mode 600 level admin expose-fd listeners
defaults
    mode http
    timeout client 5s
    timeout connect 5s
    timeout server 5s
frontend http_frontend
    bind 127.0.0.1:{port}
    {routes}
    default_backend default_backend
backend default_backend
    http-request return status 503 content-type text/plain string "nobody knows"
backend service
    retries 2
    retry-on conn-failure empty-response
    option redispatch 1
    server one 127.0.0.1:{replica}
listen stats
  bind *:{stats}
  stats enable
"""


class Replica(BaseHTTPRequestHandler):
    """Ends without an answer to as many POST requests as `lost` says; `bodies` are of all."""

    lost = 0
    bodies: ClassVar[list[bytes]] = []

    def do_POST(self) -> None:
        self.bodies.append(self.rfile.read(int(self.headers["content-length"])))
        if len(self.bodies) > self.lost:
            self.do_GET()

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"the service")

    def log_message(self, *_: object) -> None:
        """Silent."""


class Serve:
    """Starts the script as Serve does: one HAProxy after the other, each this process's child."""

    def __init__(self, folder: Path, replica: int) -> None:
        binary = serve_environment.haproxy_binary()
        assert binary is not None
        [self.port, self._stats] = ports.free(2)
        self.folder = folder
        self._replica = replica
        self._script = haproxy.write(folder, binary, self.port)
        self.kept = haproxy.keep(folder, "127.0.0.1", self.port)
        self.children: list[subprocess.Popen[bytes]] = []

    def start(self, *arguments: str, knows: bool = True) -> "subprocess.Popen[bytes]":
        """Up, as its admin socket tells, which a stand-in has none of."""
        routes = "use_backend service if { path_beg / }" if knows else ""
        file = self.folder / "haproxy.cfg"
        file.write_text(
            CONFIG.format(folder=self.folder, port=self.port, stats=self._stats, replica=self._replica, routes=routes)
        )
        child = self.run(*arguments)
        wait_for(lambda: f"Pid: {child.pid}" in self.admin(), 20, "HAProxy's admin socket")
        return child

    def run(self, *arguments: str) -> "subprocess.Popen[bytes]":
        """With the configuration as it is."""
        command: list[str | Path] = [self._script, "-db", "-f", self.folder / "haproxy.cfg", "-dR", *arguments]
        child = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        self.children.append(child)
        return child

    def admin(self) -> str:
        with socket.socket(socket.AF_UNIX) as asked:
            try:
                asked.connect(str(self.folder / "admin.sock"))
                asked.sendall(b"show info\n")
                return asked.recv(2**16).decode()
            except OSError:
                return ""

    def answer(self) -> str:
        """On a connection of its own; empty where nobody answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/livez", timeout=5) as answer:
                return str(answer.read(), "ascii")
        except OSError:
            return ""

    def kill(self, child: "subprocess.Popen[bytes]") -> None:
        child.kill()
        child.wait()

    def standin(self) -> psutil.Process:
        """The one that stands in, once it answers."""
        wait_for(lambda: (self.folder / "haproxy.cfg.standin").exists(), 10, "a stand-in")
        wait_for(lambda: self.answer() == "the service", 10, "its answer")
        return psutil.Process(int((self.folder / "haproxy.cfg.standin").read_text()))

    def watchers(self) -> list[psutil.Process]:
        return [
            each for each in psutil.process_iter() if "--watch" in (words := _words(each)) and str(self.folder) in words
        ]

    def end(self) -> None:
        self.kept.close()
        for watcher in self.watchers():
            with suppress(psutil.NoSuchProcess):
                below = watcher.children(recursive=True)
                watcher.kill()
                for process in below:
                    process.kill()
        for child in self.children:
            self.kill(child)


def _words(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Replica) as replica:
        thread = threading.Thread(target=replica.serve_forever, daemon=True)
        thread.start()
        serving = Serve(tmp_path, replica.server_address[1])
        try:
            yield serving
        finally:
            serving.end()
            replica.shutdown()
            thread.join(30)


def test_a_standin_answers_until_one_that_knows_the_service_takes_over(serve: Serve) -> None:
    first = serve.start()
    assert serve.answer() == "the service"
    with Probe(serve.port, "/livez", 0.01) as client:
        wait_for(lambda: client.asked > 20, 30, "some requests")
        serve.kill(first)
        standin = serve.standin()
        assert serve.admin() == ""
        # Serve starts the next one before it has heard of any replica.
        second = serve.start(knows=False)
        third = serve.start("-sf", str(second.pid), "-x", str(serve.folder / "admin.sock"))
        standin.wait(10)
        second.wait(10)
        asked = client.asked
        wait_for(lambda: client.asked > asked + 20, 30, "some more requests")
    # The one that was under way: it asks for one thing after the other, and nobody turned it away.
    assert len(client.faults) <= 1, client.faults
    assert serve.answer() == "the service"
    wait_for(lambda: not (serve.folder / "haproxy.cfg.standin").exists(), 10, "the end of its watcher")
    serve.kill(third)
    assert serve.standin().pid != standin.pid


def in_pieces(port: int, *pieces: bytes) -> bytes:
    """The whole answer to a request that is sent so, each piece when HAProxy has had time for the one before."""
    with socket.create_connection(("127.0.0.1", port), 20) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            connection.sendall(piece)
            wait_for(lambda: _unread(connection) == 0, 10, "its arrival")
        answer = b""
        while part := connection.recv(2**16):
            answer += part
    return answer


def _unread(connection: socket.socket) -> int:
    """Bytes that the other side's kernel has not taken yet (SIOCOUTQ, tcp(7))."""
    return int.from_bytes(fcntl.ioctl(connection, termios.TIOCOUTQ, bytes(4)), sys.byteorder)


HEADERS = b"POST /embed/text HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 10\r\n\r\n"


@pytest.mark.parametrize("pieces", [(HEADERS + b"0123456789",), (HEADERS, b"01234", b"56789")])
def test_what_a_replica_took_with_it_another_one_is_asked(
    serve: Serve, pieces: tuple[bytes, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Replica, "bodies", [])
    monkeypatch.setattr(Replica, "lost", 2)
    serve.start()
    answer = in_pieces(serve.port, *pieces)
    assert answer.split()[1] == b"200"
    assert answer.endswith(b"the service")
    assert Replica.bodies == [b"0123456789"] * 3


def test_what_every_replica_loses_is_told_in_the_services_words(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Replica, "bodies", [])
    monkeypatch.setattr(Replica, "lost", 3)
    serve.start()
    headers, _, body = in_pieces(serve.port, HEADERS, b"0123456789").partition(b"\r\n\r\n")
    assert headers.startswith(b"HTTP/1.1 502 ")
    assert b"retry-after: 1" in headers
    assert json.loads(body)["error"]["code"] == "unavailable"
    assert len(Replica.bodies) == 3


def test_a_successor_that_fails_changes_nothing(serve: Serve) -> None:
    serve.kill(serve.start())
    standin = serve.standin()
    file = serve.folder / "haproxy.cfg"
    good = file.read_text()
    file.write_text(good + "nonsense\n")
    assert serve.run().wait(10) != 0
    wait_for(lambda: len(serve.watchers()) == 1, 10, "the end of its watcher")
    assert (serve.folder / "haproxy.cfg.standin").read_text().strip() == str(standin.pid)
    assert serve.answer() == "the service"
    serve.start()
    standin.wait(10)
    assert serve.answer() == "the service"


def test_nobody_stands_in_for_one_that_was_replaced(serve: Serve, tmp_path: Path) -> None:
    first = serve.start()
    [watcher] = wait_for(serve.watchers, 10, "its watcher")
    second = serve.start("-sf", str(first.pid), "-x", str(tmp_path / "admin.sock"))
    first.wait(10)
    watcher.wait(10)
    assert not (tmp_path / "haproxy.cfg.standin").exists()
    assert serve.answer() == "the service"
    assert second.poll() is None


def test_nobody_stands_in_at_the_services_end(serve: Serve, tmp_path: Path) -> None:
    first = serve.start()
    [watcher] = wait_for(serve.watchers, 10, "its watcher")
    haproxy.end(tmp_path)
    serve.kept.close()
    serve.kill(first)
    watcher.wait(10)
    assert serve.answer() == ""
