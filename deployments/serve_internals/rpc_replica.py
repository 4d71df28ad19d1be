"""A replica as the router knows it, called over its RPC connection where it has one; Serve's gRPC otherwise."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import grpc
from ray.exceptions import ActorUnavailableError
from ray.serve._private.common import ReplicaQueueLengthInfo
from ray.serve._private.replica_result import ReplicaResult
from ray.serve._private.request_router.replica_wrapper import RunningReplica
from ray.serve.request_router import PendingRequest

from app.errors import ServiceError
from app.rpc.connection import Answer, RpcConnection, connect
from app.rpc.frames import PROTOCOL, CallRefused, ConnectionLost
from deployments.messages import METADATA, pack_call, unpack_reply

logger = logging.getLogger(__name__)

RETRY_S: Final = 1.0  # after a connection was lost; doubled after each failed attempt
MAX_RETRY_S: Final = 30.0


class RpcReplica(RunningReplica):  # type: ignore[misc]
    """Connects when one of its RPC methods is first called. `is_silent`: its last call was given up unanswered."""

    def __init__(self, replica_info: Any, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(replica_info)
        server = self.replica_metadata.get(METADATA, {})
        # Another version of the service, during a rollout, may speak another protocol.
        self._server: dict[str, Any] = server if server.get("protocol") == PROTOCOL else {}
        self._methods = frozenset(self._server.get("methods", ()))
        self._connection: RpcConnection | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._clock = clock
        self._retry_s = RETRY_S
        self._not_before = clock()
        self.is_silent = False

    def try_send_request(self, pr: PendingRequest, with_rejection: bool) -> ReplicaResult:
        metadata = pr.metadata
        plain = not (metadata.is_streaming or metadata._on_separate_loop or pr.kwargs)
        if metadata.call_method in self._methods and plain:
            if self._connection is None or not self.is_connected:
                self._reconnect()
            elif (call := self._call(self._connection, pr)) is not None:
                return call
        result = super().try_send_request(pr, with_rejection)
        result.add_done_callback(self._ended)
        return result

    @property
    def is_connected(self) -> bool:
        """Whether calls go by RPC now."""
        return self._connection is not None and self._connection.is_open

    def close(self) -> None:
        """Serve has dropped this replica: no new calls, and those under way are the connection's last."""
        self._methods = frozenset()
        if self._connecting is not None:
            self._connecting.cancel()
        if self._connection is not None:
            self._connection.close()

    def _call(self, connection: RpcConnection, pr: PendingRequest) -> "RpcResult | None":
        """None for what can't be written as a frame: Serve's way takes more."""
        try:
            answer = connection.call(*pack_call(pr.metadata.call_method, pr.args))
        except (TypeError, ValueError):
            return None
        answer.add_done_callback(self._ended)
        return RpcResult(answer, self.actor_id, connection, self.max_ongoing_requests)

    def _ended(self, call: Any) -> None:
        self.is_silent = isinstance(call, asyncio.Future | grpc.aio.RpcContext) and call.cancelled()

    def _reconnect(self) -> None:
        is_free = self._connecting is None or self._connecting.done()
        if is_free and self._clock() >= self._not_before:
            self._connecting = asyncio.get_running_loop().create_task(self._connect())

    async def _connect(self) -> None:
        server, first = self._server, self._retry_s == RETRY_S
        try:
            self._connection = await connect(server["host"], server["port"], bytes.fromhex(server["secret"]))
            self._retry_s = RETRY_S
        except OSError as error:
            level = logging.WARNING if first else logging.DEBUG
            logger.log(level, "no RPC connection to %s: %s", self.replica_id, error or type(error).__name__)
            self._retry_s = min(2 * self._retry_s, MAX_RETRY_S)
        self._not_before = self._clock() + self._retry_s


@dataclass(slots=True, eq=False)
class RpcResult(ReplicaResult):  # type: ignore[misc]
    """One call's, as Serve's router and handles want it. For the loop that the call was made on."""

    _answer: "asyncio.Future[Answer]"
    _actor_id: Any
    _connection: RpcConnection
    _max_ongoing: int

    async def get_rejection_response(self) -> ReplicaQueueLengthInfo:
        """Whether the replica took the call, known once it has answered: a frame that says so at once would cost every
        call what almost none needs. A call that was lost with its replica counts as taken, since it may be what ended
        it: whether another replica gets it is not for Serve's router to decide."""
        try:
            await self._answer
        except CallRefused:
            # It looks full, so that the router asks others.
            return ReplicaQueueLengthInfo(accepted=False, num_ongoing_requests=self._max_ongoing)
        except (ServiceError, ConnectionLost):
            pass  # for `get_async`
        # Serve counts this one until its callback is run.
        return ReplicaQueueLengthInfo(accepted=True, num_ongoing_requests=len(self._connection) + 1)

    async def get_async(self) -> Any:
        """Raises the ServiceError that was answered, or ActorUnavailableError where the replica is gone."""
        try:
            answer = await self._answer
        except (CallRefused, ConnectionLost):
            raise ActorUnavailableError("Its RPC connection was lost.", self._actor_id.binary()) from None
        return unpack_reply(*answer)

    def add_done_callback(self, callback: Callable[[Any], Any]) -> None:
        self._answer.add_done_callback(callback)

    def cancel(self) -> None:
        self._answer.cancel()

    def _only_awaited(self, *_: Any) -> Any:
        raise NotImplementedError("an RPC call is awaited: it does not block or stream, and has no objects")

    get = __next__ = __anext__ = to_object_ref = to_object_ref_async = to_object_ref_gen = _only_awaited
