import errno
import socket
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from app.system import ports

HOST = "127.0.0.1"


@pytest.fixture
def listening() -> Iterator[int]:
    with socket.socket() as server:
        server.bind((HOST, 0))
        server.listen(1)
        yield server.getsockname()[1]


def test_a_port_is_taken_while_somebody_listens(listening: int) -> None:
    assert not ports.is_free(listening, HOST)
    assert not ports.is_free(listening, "0.0.0.0")  # noqa: S104 - a probe


def test_a_port_is_free_again_afterwards_and_the_probe_leaves_nothing() -> None:
    [port] = ports.free(1)
    assert [ports.is_free(port, HOST) for _ in range(3)] == [True] * 3


def test_a_port_of_a_closed_connection_is_free() -> None:
    """What a service that was just stopped leaves: TIME_WAIT, which must not block its next start."""
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as every server does
        server.bind((HOST, 0))
        server.listen(1)
        port: int = server.getsockname()[1]
        with socket.create_connection((HOST, port)):
            accepted, _ = server.accept()
            accepted.close()  # the server's side closes first and so keeps the waiting end
    assert ports.is_free(port, HOST)


def test_a_port_shared_with_so_reuseport_is_taken() -> None:
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        server.bind((HOST, 0))
        server.listen(1)
        assert not ports.is_free(server.getsockname()[1], HOST)


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 here")
def test_ipv6_hosts() -> None:
    with socket.socket(socket.AF_INET6) as server:
        try:
            server.bind(("::1", 0))
        except OSError:
            pytest.skip("no IPv6 here")
        port = server.getsockname()[1]
        server.listen(1)
        assert not ports.is_free(port, "::1")
    assert ports.is_free(port, "::1")


def test_an_address_that_is_not_ours_is_not_free() -> None:
    assert not ports.is_free(0, "192.0.2.1")


def test_free_ports_differ_and_can_be_bound() -> None:
    found = ports.free(20)
    assert len(set(found)) == 20
    assert all(ports.is_free(port, HOST) for port in found)
    assert ports.free(0) == []


def test_free_ports_are_none_that_the_kernel_gives_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "is_free", lambda port, host: port not in {201, 203})
    assert sorted(ports.free(3, first=200, last=205)) == [200, 202, 204]
    with pytest.raises(OSError, match="no 4 free ports between 200 and 205"):
        ports.free(4, first=200, last=205)
    given_away = Path("/proc/sys/net/ipv4/ip_local_port_range")
    if given_away.exists():
        assert max(ports.free(20)) < int(given_away.read_text().split()[0])


def test_a_range_is_free_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = {203, 204, 211, 218, 221, 224}
    monkeypatch.setattr(ports, "is_free", lambda port, host: port not in taken)
    assert ports.free_range(4, first=200, last=230) == 212
    # Two services that start at the same time are unlikely to choose the same.
    assert len({ports.free_range(4, first=200, last=2000) for _ in range(20)}) > 10
    taken.update(range(200, 228))  # a range that only begins below the last port is none
    with pytest.raises(OSError, match="no 4 adjacent free ports between 200 and 230"):
        ports.free_range(4, first=200, last=230)


def test_the_holder_of_a_port_is_found(listening: int) -> None:
    assert ports.holder(listening) == psutil.Process()


def test_nobody_holds_a_free_port() -> None:
    assert ports.holder(ports.free(1)[0]) is None


def test_a_holder_that_is_gone_is_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = SimpleNamespace(status=psutil.CONN_LISTEN, laddr=("", 81), pid=2**30)
    connected = SimpleNamespace(status=psutil.CONN_ESTABLISHED, laddr=("", 82), pid=1)
    monkeypatch.setattr(psutil, "net_connections", lambda kind: [connected, gone])
    assert [ports.holder(port) for port in (81, 82)] == [None, None]


def test_a_system_that_tells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(kind: str) -> None:
        raise psutil.AccessDenied

    monkeypatch.setattr(psutil, "net_connections", refuse)
    assert ports.holder(81) is None


def test_a_host_is_each_of_its_addresses_that_this_machine_has(monkeypatch: pytest.MonkeyPatch) -> None:
    """`localhost` is two on most systems; an address of another machine, or a family that is off, is left out."""
    both = [(socket.AF_INET, HOST), (socket.AF_INET, "192.0.2.1"), (socket.AF_INET, HOST)]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [(f, 0, 0, "", (a, 0)) for f, a in both])
    assert ports.addresses("many") == [(socket.AF_INET, HOST)]


@pytest.mark.parametrize("host", ["no-such-host.invalid", "192.0.2.1", "a..b", "x" * 300])
def test_a_host_that_is_nowhere_here_has_none(host: str) -> None:
    assert ports.addresses(host) == []
    refusal = ports.refusal(3000, host)
    assert refusal is not None
    assert refusal.errno == errno.EADDRNOTAVAIL


def test_a_taken_port_is_told_from_a_forbidden_one(listening: int) -> None:
    refusal = ports.refusal(listening, HOST)
    assert refusal is not None
    assert refusal.errno == errno.EADDRINUSE


def test_every_address_of_a_host_must_be_free(listening: int, monkeypatch: pytest.MonkeyPatch) -> None:
    two = [(socket.AF_INET, "127.0.0.2"), (socket.AF_INET, HOST)]
    monkeypatch.setattr(ports, "addresses", lambda host: two)
    assert not ports.is_free(listening, "localhost")


def test_the_next_free_port_is_proposed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "is_free", lambda port, host: port in (3003, 3005))
    assert ports.free_above(3000, HOST) == 3003
