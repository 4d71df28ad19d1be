import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from app.system import listening_socket, ports
from app.system.listening_socket import KeptSocket

# Answers so many connections with its name, and ends.
ANSWERER = """
import socket, sys
with socket.socket(fileno=9) as listener:
    listener.listen(8)
    print("listens", flush=True)
    for _ in range(int(sys.argv[2])):
        connection, _ = listener.accept()
        connection.sendall(sys.argv[1].encode())
        connection.close()
"""


def borrower(file: str, name: str, answers: int) -> "subprocess.Popen[str]":
    """A program that has borrowed the socket and listens at it."""
    command = [
        sys.executable,
        "-I",
        "-S",
        listening_socket.__file__,
        file,
        sys.executable,
        "-c",
        ANSWERER,
        name,
        str(answers),
    ]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "listens\n"
    return child


def end(child: "subprocess.Popen[str]") -> None:
    assert child.wait(30) == 0
    assert child.stdout is not None
    child.stdout.close()


def answer(connection: socket.socket) -> str:
    with connection:
        return connection.recv(100).decode()


@pytest.fixture
def port() -> int:
    return ports.free(1)[0]


@pytest.fixture
def file(tmp_path: Path) -> str:
    return str(tmp_path / "port.sock")


@pytest.fixture
def kept(port: int, file: str) -> Iterator[KeptSocket]:
    with KeptSocket("127.0.0.1", port, file) as kept:
        yield kept


def test_what_connects_between_two_borrowers_is_answered_by_the_next(kept: KeptSocket, file: str, port: int) -> None:
    address = ("127.0.0.1", port)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address, 5)
    first = borrower(file, "first", 1)
    assert answer(socket.create_connection(address, 5)) == "first"
    end(first)
    waiting = [socket.create_connection(address, 5) for _ in range(3)]
    second = borrower(file, "second", 3)
    assert [answer(each) for each in waiting] == ["second"] * 3
    end(second)


def test_it_is_gone_with_its_last_borrower(kept: KeptSocket, file: str, port: int) -> None:
    child = borrower(file, "one", 2)
    kept.close()
    kept.close()
    assert answer(socket.create_connection(("127.0.0.1", port), 5)) == "one"
    assert answer(socket.create_connection(("127.0.0.1", port), 5)) == "one"
    end(child)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 5)
    assert ports.is_free(port, "127.0.0.1")


def test_who_borrows_too_late_is_told(kept: KeptSocket, file: str) -> None:
    kept.close()
    command = [sys.executable, "-I", "-S", listening_socket.__file__, file, "/bin/true"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("The service's address is not to be had: [Errno 111]")


def test_a_borrower_that_goes_away_is_no_trouble(kept: KeptSocket, file: str) -> None:
    for _ in range(50):
        with socket.socket(socket.AF_UNIX) as gone:
            gone.connect(file)
    end(borrower(file, "next", 0))


def test_a_taken_address_is_an_error(port: int, file: str) -> None:
    with socket.create_server(("127.0.0.1", port)), pytest.raises(OSError, match="in use"):
        KeptSocket("127.0.0.1", port, file)
    assert not Path(file).exists()


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "localhost", "::", "::1"])  # noqa: S104
def test_it_is_where_the_user_said(host: str, port: int, file: str) -> None:
    with KeptSocket(host, port, file):
        child = borrower(file, "one", 1)
        addresses = {each.laddr.ip for each in psutil.Process(child.pid).net_connections("tcp")}
        near = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
        assert answer(socket.create_connection((near, port), 5)) == "one"
        end(child)
    assert addresses
    assert addresses <= ({"127.0.0.1", "::1"} if host == "localhost" else {host})
