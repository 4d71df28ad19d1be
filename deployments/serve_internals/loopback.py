"""The port that Serve opens in every replica for calls from other deployments, kept on loopback where Ray is. Serve
2.60 binds it on every interface and unpickles what comes in, guarded by Ray's token alone. No setting changes that, so
the function that binds it is replaced before the replica listens. On a cluster, where other nodes must reach it, the
network has to be closed to others."""

import sys
from ipaddress import ip_address
from typing import Any, Final

REPLICA: Final = "ray.serve._private.replica"
EVERYWHERE: Final = "[::]:"


def keep_on_loopback() -> None:
    """For a replica. Raises RuntimeError if the node is on loopback and this Serve binds the port in another way."""
    module: Any = sys.modules.get(REPLICA)
    bind = getattr(module, "add_port_to_grpc_server", None)
    if module is None or hasattr(bind, "listens_on"):
        return
    if bind is None:
        if ip_address(_node_address()).is_loopback:
            raise RuntimeError("this Ray opens the replicas' gRPC port in a way that can't be kept on loopback")
        return

    def add_port(server: Any, address: str) -> int:
        return int(bind(server, listens_on(address, _node_address())))

    add_port.listens_on = listens_on  # type: ignore[attr-defined]
    module.add_port_to_grpc_server = add_port


def listens_on(address: str, node: str) -> str:
    """`address`, or the node's own where that is loopback and `address` is every interface."""
    if address.startswith(EVERYWHERE) and ip_address(node).is_loopback:
        return f"{node}:{address.removeprefix(EVERYWHERE)}"
    return address


def _node_address() -> str:
    from ray.util import get_node_ip_address

    return str(get_node_ip_address())
