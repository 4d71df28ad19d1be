"""What is really bound is seen from a second network namespace: tests/cluster/locked/test_access.py."""

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from deployments.serve_internals import loopback
from deployments.serve_internals.loopback import keep_on_loopback, listens_on


@pytest.mark.parametrize(
    ("address", "node", "bound"),
    [
        ("[::]:0", "127.0.0.1", "127.0.0.1:0"),
        ("[::]:5000", "127.0.0.1", "127.0.0.1:5000"),
        ("[::]:0", "192.0.2.5", "[::]:0"),  # a cluster: other nodes call
        ("192.0.2.5:0", "127.0.0.1", "192.0.2.5:0"),
    ],
)
def test_every_interface_becomes_loopback_where_the_node_is_there(address: str, node: str, bound: str) -> None:
    assert listens_on(address, node) == bound


def test_the_function_that_binds_is_replaced_once(monkeypatch: pytest.MonkeyPatch) -> None:
    bound: list[str] = []

    def bind(server: Any, address: str) -> int:
        bound.append(address)
        return 7

    module = SimpleNamespace(add_port_to_grpc_server=bind)
    monkeypatch.setitem(sys.modules, loopback.REPLICA, module)
    monkeypatch.setattr(loopback, "_node_address", lambda: "127.0.0.1")
    keep_on_loopback()
    keep_on_loopback()
    assert module.add_port_to_grpc_server(None, "[::]:0") == 7
    assert bound == ["127.0.0.1:0"]


def test_a_serve_that_binds_otherwise_is_not_left_open_on_a_loopback_node(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, loopback.REPLICA, SimpleNamespace())
    monkeypatch.setattr(loopback, "_node_address", lambda: "127.0.0.1")
    with pytest.raises(RuntimeError, match="can't be kept on loopback"):
        keep_on_loopback()
    monkeypatch.setattr(loopback, "_node_address", lambda: "192.0.2.5")
    keep_on_loopback()  # a cluster: it is open to the other nodes anyway
    monkeypatch.delitem(sys.modules, loopback.REPLICA)
    keep_on_loopback()  # the launcher, the driver, the cache actor: nothing to do
