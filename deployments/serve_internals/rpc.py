"""An encoder's end of its lines: the calls of the ingresses, past Serve's gRPC, which costs more than a small model.

Serve goes on choosing the replica and counting what is under way (`deployments.serve_internals.rpc_replica` is the
other end).
Where a replica has no line, or it is down, calls go by gRPC.
"""

import asyncio
import logging
import pickle
import secrets
from collections.abc import Sequence
from typing import Any, Final

from ray.util import get_node_ip_address

from app.config.args import ServeBypass
from app.rpc.connection import HALF
from app.rpc.server import RpcServer
from deployments.serve_internals import probe
from deployments.serve_internals.accounting import ReplicaAccounting, own_accounting

logger = logging.getLogger(__name__)

LINE: Final = "line"
GRACE_S: Final = 2.0


class RpcEndpoint:
    """Answers for `target`, a deployment's object, by its `methods`."""

    def __init__(self, target: Any, methods: Sequence[str], accounting: ReplicaAccounting) -> None:
        self._methods = {name: getattr(target, name) for name in methods}
        self._accounting = accounting
        self._secret = secrets.token_bytes(2 * HALF)
        self._server = RpcServer(self.answer, self._secret)

    async def start(self) -> dict[str, Any]:
        """What the other end has to know."""
        host = str(get_node_ip_address())
        port = await self._server.start(host)
        return {"host": host, "port": port, "secret": self._secret, "methods": sorted(self._methods)}

    async def answer(self, call: bytes) -> bytes:
        """Pickled method and arguments -> pickled (whether it went well, result or error)."""
        began, error = self._accounting.began(), True
        try:
            # From whoever knows the secret, which only this cluster's routers are told.
            method, args = pickle.loads(call)  # noqa: S301
            outcome = (True, await self._methods[method](*args))
            error = False
        except asyncio.CancelledError as exc:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise  # the caller gave it up
            outcome = (False, RuntimeError(f"the work was cancelled: {exc}"))
        except Exception as exc:  # noqa: BLE001 - the caller's to see
            outcome = (False, exc)
        finally:
            self._accounting.called(began, error)
        try:
            return pickle.dumps(outcome, pickle.HIGHEST_PROTOCOL)
        except Exception:
            logger.exception("an outcome can't be sent")
            return pickle.dumps((False, RuntimeError(repr(outcome[1]))))

    async def close(self) -> None:
        """The replica ends, once it has drained; a call that came late has a moment."""
        await self._server.close(GRACE_S)


async def serve_rpc(
    target: Any, *methods: str, setting: ServeBypass = "auto"
) -> tuple[RpcEndpoint | None, dict[str, Any]]:
    """Of this process's replica, for `record_replica_metadata`; none where `probe` says so, or the node's address can't
    be listened on.

    Raises:
        RuntimeError: It is required and can't be had.
    """
    if "rpc" not in probe.decide(setting, ("rpc",)):
        return None, {}
    calls = RpcEndpoint(target, methods, own_accounting())
    try:
        return calls, {LINE: await calls.start()}
    except OSError as error:
        if setting == "require":
            raise RuntimeError(f"serve_bypass: require, but no RPC port can be opened on this node: {error}") from None
        # The node's address may be one that only others know it by.
        logger.warning("no line can be opened on this node: %s", error)
        return None, {}
