"""An encoder's end of its lines: the calls of the ingresses, past Serve's gRPC, which costs more than a small model.

Serve goes on choosing the replica and counting what is under way (`deployments.lined_replica` is the other end).
Where a replica has no line, or it is down, calls go by gRPC.
"""

import logging
import pickle
import secrets
from collections.abc import Sequence
from typing import Any, Final

from ray.util import get_node_ip_address

from app.line import LineServer
from deployments.replica_ledger import ReplicaLedger, own_ledger

logger = logging.getLogger(__name__)

LINE: Final = "line"


class CallsOnLines:
    """Answers for `target`, a deployment's object, by its `methods`."""

    def __init__(self, target: Any, methods: Sequence[str], ledger: ReplicaLedger) -> None:
        self._methods = {name: getattr(target, name) for name in methods}
        self._ledger = ledger
        self._secret = secrets.token_bytes(32)
        self._server = LineServer(self.answer, self._secret)

    async def start(self) -> dict[str, Any]:
        """What the other end has to know."""
        host = str(get_node_ip_address())
        port = await self._server.start(host)
        return {"host": host, "port": port, "secret": self._secret, "methods": sorted(self._methods)}

    async def answer(self, call: bytes) -> bytes:
        """Pickled method and arguments -> pickled (whether it went well, result or error)."""
        began, error = self._ledger.began(), True
        try:
            # From whoever knows the secret, which only this cluster's routers are told.
            method, args = pickle.loads(call)  # noqa: S301
            outcome = (True, await self._methods[method](*args))
            error = False
        except Exception as exc:  # noqa: BLE001 - the caller's to see
            outcome = (False, exc)
        finally:
            self._ledger.called(began, error)
        try:
            return pickle.dumps(outcome, pickle.HIGHEST_PROTOCOL)
        except Exception:
            logger.exception("an outcome can't be sent")
            return pickle.dumps((False, RuntimeError(repr(outcome[1]))))

    def close(self) -> None:
        self._server.close()


async def open_line(target: Any, *methods: str) -> tuple[CallsOnLines | None, dict[str, Any]]:
    """Of this process's replica, for `record_replica_metadata`; none where Serve's replica is not as expected."""
    if (ledger := own_ledger()) is None:
        return None, {}
    calls = CallsOnLines(target, methods, ledger)
    return calls, {LINE: await calls.start()}
