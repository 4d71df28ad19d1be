"""An encoder's end of its RPC connections: the calls of the ingresses, past Serve's gRPC, which costs more than a small
model. Serve goes on choosing the replica (`rpc_replica` is the other end) and counting what is under way. Where there
is no RPC server, or a connection is lost, calls go by gRPC."""

import logging
import secrets
from collections.abc import Sequence
from typing import Any, Final

from ray.util import get_node_ip_address

from app.config.args import ServeBypass
from app.rpc.frames import PROTOCOL, SECRET_BYTES, CallRefused
from app.rpc.server import RpcServer
from deployments.messages import METADATA, pack_reply, unpack_call
from deployments.serve_internals import probe
from deployments.serve_internals.accounting import ReplicaAccounting, own_accounting

logger = logging.getLogger(__name__)

GRACE_S: Final = 2.0


class RpcEndpoint:
    """Answers for `target`, a deployment's object, by its `methods`."""

    def __init__(self, target: Any, methods: Sequence[str], accounting: ReplicaAccounting) -> None:
        self._methods = {name: getattr(target, name) for name in methods}
        self._accounting = accounting
        self._secret = secrets.token_bytes(SECRET_BYTES)
        self._server = RpcServer(self.answer, self._secret)

    async def start(self) -> dict[str, Any]:
        """What the other end has to know."""
        host = str(get_node_ip_address())
        port = await self._server.start(host)
        methods = sorted(self._methods)
        return {"protocol": PROTOCOL, "host": host, "port": port, "secret": self._secret.hex(), "methods": methods}

    async def answer(self, head: bytes, body: bytes) -> tuple[bytes, bytes]:
        """Raises CallRefused where Serve would have the router ask another replica."""
        accounting = self._accounting
        if accounting.is_full or accounting.is_draining:
            raise CallRefused
        await accounting.enter()  # at once: nothing else has run since
        began, error = accounting.began(), True
        try:
            method, *args = unpack_call(head, body)
            answer = pack_reply(await self._methods[method](*args))
            error = False
        finally:
            accounting.called(began, error)
            accounting.leave()
        return answer

    async def close(self) -> None:
        """The replica ends, once it has drained; a call that came late has a moment."""
        await self._server.close(GRACE_S)


async def serve_rpc(
    target: Any, *methods: str, setting: ServeBypass = "auto"
) -> tuple[RpcEndpoint | None, dict[str, Any]]:
    """Of this process's replica, for `record_replica_metadata`; none where `probe` says so, or the node's address can't
    be listened on. Raises RuntimeError if it is required and is not available."""
    if "rpc" not in probe.decide(setting, ("rpc",)):
        return None, {}
    endpoint = RpcEndpoint(target, methods, own_accounting())
    try:
        return endpoint, {METADATA: await endpoint.start()}
    except OSError as error:
        if setting == "require":
            raise RuntimeError(f"serve_bypass: require, but no RPC port can be opened on this node: {error}") from None
        # The node's address may be one that only others know it by.
        logger.warning("no RPC server can be opened on this node: %s", error)
        return None, {}
