"""A port that is kept for a program of ours."""

import errno
import socket

import pytest

from app.system import ports
from loadtests.kept_port import kept_port

ADDRESSES = [("127.0.0.1", socket.AF_INET)]
ADDRESSES += [("::1", socket.AF_INET6)] if socket.has_dualstack_ipv6() and ports.addresses("::1") else []


@pytest.mark.parametrize(("address", "family"), ADDRESSES)
def test_it_is_refused_and_taken_but_a_server_may_listen(address: str, family: socket.AddressFamily) -> None:
    with kept_port() as port:
        for _ in range(2):  # as where a program ends and is started again
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection((address, port), 20)
            with socket.socket(family) as other, pytest.raises(OSError, match=r".") as caught:
                other.bind((address, port))
            assert caught.value.errno == errno.EADDRINUSE
            with (
                socket.create_server((address, port), family=family) as server,
                socket.create_connection((address, port), 20),
            ):
                server.accept()[0].close()
                assert not ports.is_free(port, address)
            assert ports.is_free(port, address)  # to the launcher
