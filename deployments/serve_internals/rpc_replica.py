"""A replica as the router knows it, called over its line where it has one; Serve's gRPC otherwise."""

import asyncio
import logging
import pickle
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from ray.exceptions import ActorUnavailableError
from ray.serve._private.common import ReplicaQueueLengthInfo
from ray.serve._private.replica_result import ReplicaResult
from ray.serve._private.request_router.replica_wrapper import RunningReplica
from ray.serve.request_router import PendingRequest

from app.rpc.connection import ConnectionLost, RpcConnection, connect
from deployments.serve_internals.rpc import LINE

logger = logging.getLogger(__name__)

# After a line was lost or could not be had.
AGAIN_S: Final = 1.0


class RpcReplica(RunningReplica):  # type: ignore[misc]
    """Connects when it is first called by a method of the line's."""

    def __init__(self, replica_info: Any) -> None:
        super().__init__(replica_info)
        self._end: dict[str, Any] = self.replica_metadata.get(LINE, {})
        self._methods = frozenset(self._end.get("methods", ()))
        self._line: RpcConnection | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._not_before = 0.0

    def try_send_request(self, pr: PendingRequest, with_rejection: bool) -> ReplicaResult:
        metadata = pr.metadata
        plain = not (metadata.is_streaming or metadata._on_separate_loop or pr.kwargs)
        if metadata.call_method in self._methods and plain:
            if self.is_connected:
                return self.call(metadata.call_method, pr.args)
            self._reconnect()
        return super().try_send_request(pr, with_rejection)

    @property
    def is_connected(self) -> bool:
        """Whether calls go by RPC now."""
        return self._line is not None and self._line.is_open

    def call(self, method: str, args: Sequence[Any]) -> "RpcResult":
        """Raises ConnectionLost where there is no line."""
        if self._line is None:
            raise ConnectionLost("there is no line yet")
        answer = self._line.call(pickle.dumps((method, args), pickle.HIGHEST_PROTOCOL))
        return RpcResult(answer, self.actor_id, len(self._line))

    def _reconnect(self) -> None:
        if (self._connecting is None or self._connecting.done()) and time.monotonic() >= self._not_before:
            self._not_before = time.monotonic() + AGAIN_S
            self._connecting = asyncio.get_running_loop().create_task(self._connect())

    async def _connect(self) -> None:
        try:
            self._line = await connect(self._end["host"], self._end["port"], self._end["secret"])
        except OSError as error:
            logger.info("no line to %s: %s", self.replica_id, error or type(error).__name__)


class RpcResult(ReplicaResult):  # type: ignore[misc]
    """One call's, as Serve's router and handles want it. For the loop that the call was made on."""

    def __init__(self, answer: "asyncio.Future[bytes]", actor_id: Any, under_way: int) -> None:
        self._answer = answer
        self._actor_id = actor_id
        self._under_way = under_way

    async def get_rejection_response(self) -> ReplicaQueueLengthInfo:
        """Taken: an encoder's queue is its own affair, and has deadlines."""
        return ReplicaQueueLengthInfo(accepted=True, num_ongoing_requests=self._under_way)

    async def get_async(self) -> Any:
        """Raises what the method raised, or ActorUnavailableError where the replica is gone."""
        try:
            answer = await self._answer
        except ConnectionLost:
            raise ActorUnavailableError("Its line was lost.", self._actor_id.binary()) from None
        well, outcome = pickle.loads(answer)  # noqa: S301 - of a replica that knew the secret
        if well:
            return outcome
        raise outcome

    def add_done_callback(self, callback: Callable[[Any], Any]) -> None:
        self._answer.add_done_callback(callback)

    def cancel(self) -> None:
        self._answer.cancel()

    def get(self, timeout_s: float | None) -> Any:
        raise NotImplementedError("a line is awaited")

    def __next__(self) -> Any:
        raise NotImplementedError("a line does not stream")

    async def __anext__(self) -> Any:
        raise NotImplementedError("a line does not stream")

    def to_object_ref(self) -> Any:
        raise NotImplementedError("a line has no objects")

    async def to_object_ref_async(self) -> Any:
        raise NotImplementedError("a line has no objects")

    def to_object_ref_gen(self) -> Any:
        raise NotImplementedError("a line has no objects")
