"""A real HAProxy, started with the script as Serve does: lost requests, reloads, its death."""

import fcntl
import json
import socket
import subprocess
import sys
import termios
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from app.local import haproxy, serve_environment
from app.system import ports
from loadtests.kept_port import kept_port
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
    default_backend service
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

    def __init__(self, folder: Path, replica: int, host: str, port: int, stats: int) -> None:
        binary = serve_environment.haproxy_binary()
        assert binary is not None
        self.port, self._stats = port, stats
        self.folder = folder
        self._replica = replica
        self._script = haproxy.write(folder, binary, host, self.port)
        self.children: list[subprocess.Popen[bytes]] = []

    def start(self, *arguments: str) -> "subprocess.Popen[bytes]":
        """Up, as its admin socket tells."""
        file = self.folder / "haproxy.cfg"
        file.write_text(CONFIG.format(folder=self.folder, port=self.port, stats=self._stats, replica=self._replica))
        child = subprocess.Popen([self._script, "-db", "-f", file, "-dR", *arguments], stderr=subprocess.DEVNULL)
        self.children.append(child)
        wait_for(lambda: f"Pid: {child.pid}" in self._admin(), 20, "HAProxy's admin socket")
        return child

    def _admin(self) -> str:
        with socket.socket(socket.AF_UNIX) as asked:
            try:
                asked.connect(str(self.folder / "admin.sock"))
                asked.sendall(b"show info\n")
                return asked.recv(2**16).decode()
            except OSError:
                return ""

    def answer(self, address: str = "127.0.0.1") -> str:
        """On a connection of its own; empty where nobody answers."""
        try:
            with urllib.request.urlopen(f"http://{address}:{self.port}/livez", timeout=5) as answer:
                return str(answer.read(), "ascii")
        except OSError:
            return ""

    def end(self) -> None:
        for child in self.children:
            child.kill()
            child.wait()


@pytest.fixture
def serve(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Serve]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Replica) as replica, kept_port() as port, kept_port() as stats:
        thread = threading.Thread(target=replica.serve_forever, daemon=True)
        thread.start()
        host = getattr(request, "param", "127.0.0.1")
        serving = Serve(tmp_path, replica.server_address[1], host, port, stats)
        try:
            yield serving
        finally:
            serving.end()
            replica.shutdown()
            thread.join(30)


def test_the_next_one_answers_at_the_same_address(serve: Serve) -> None:
    first = serve.start()
    assert serve.answer() == "the service"
    second = serve.start("-sf", str(first.pid), "-x", str(serve.folder / "admin.sock"))  # a reload
    first.wait(10)
    assert serve.answer() == "the service"
    second.kill()
    second.wait()
    assert serve.answer() == ""
    serve.start()
    assert serve.answer() == "the service"


@pytest.fixture
def localhost_is_two(monkeypatch: pytest.MonkeyPatch) -> None:
    if not ports.addresses("::1"):
        pytest.skip("no IPv6 here")
    known = ports.addresses
    two = [(socket.AF_INET6, "::1"), (socket.AF_INET, "127.0.0.1")]
    monkeypatch.setattr(ports, "addresses", lambda host: two if host == "localhost" else known(host))


@pytest.mark.usefixtures("localhost_is_two")
@pytest.mark.parametrize(
    ("serve", "answers"),
    [
        ("localhost", ["the service", "the service"]),
        ("::", ["the service", "the service"]),
        ("::1", ["", "the service"]),
        ("127.0.0.1", ["the service", ""]),
    ],
    indirect=["serve"],
)
def test_both_families_are_served_where_the_host_is_both(serve: Serve, answers: list[str]) -> None:
    first = serve.start()
    assert [serve.answer("127.0.0.1"), serve.answer("[::1]")] == answers
    serve.start("-sf", str(first.pid), "-x", str(serve.folder / "admin.sock"))  # a reload
    first.wait(10)
    assert [serve.answer("127.0.0.1"), serve.answer("[::1]")] == answers
    assert [ports.is_free(serve.port, host) for host in ("localhost", "::")] == [False, False]


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
