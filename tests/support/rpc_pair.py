"""Both ends of an RPC connection as Serve has them. The imports of Ray warn, and warnings are errors here."""

import asyncio
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from types import SimpleNamespace
from typing import Any

from app.errors import ModelUnavailable
from deployments.messages import EncodeReply
from tests.support.aio import Clock, turns, until

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from ray.serve._private.common import RequestMetadata
    from ray.serve._private.router import AsyncioRouter
    from ray.serve.request_router import PendingRequest

    from deployments.serve_internals.rpc import RpcEndpoint
    from deployments.serve_internals.rpc_replica import RpcReplica

ACTOR = b"a" * 16


class ByGrpc:
    """Serve's own result; `ended` hears when it is over."""

    def add_done_callback(self, ended: Any) -> None:
        self.ended = ended


GRPC = ByGrpc()
MAX_ONGOING = 3
METHODS = ("encode_texts", "encode_images")


def reply(packed: bytes) -> EncodeReply:
    return EncodeReply(packed, {}, "f", "r1", 0.0, 0.0, 1.0, 1)


class Target:
    """A deployment's object. The first text says what it does."""

    def __init__(self) -> None:
        self.open: list[asyncio.Future[None]] = []
        self.cancelled = 0

    async def encode_texts(self, texts: list[Any], timeout_s: float, origins: Any, large: bool) -> EncodeReply:
        if texts[0] == "fails":
            raise ModelUnavailable("small-model is unavailable.", "model", 30)
        if texts[0] == "breaks":
            raise RuntimeError("/a/path")
        if texts[0] == "hangs":
            self.open.append(asyncio.get_running_loop().create_future())
            try:
                await self.open[-1]
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
        return reply(repr((texts, timeout_s, origins)).encode())

    async def encode_images(self, crops: list[bytes], timeout_s: float, origins: Any, large: bool) -> EncodeReply:
        return reply(b"|".join(crops))

    async def tokens(self) -> EncodeReply:
        raise AssertionError("it is not among the RPC methods")


class Accounting:
    """Of a replica with MAX_ONGOING places."""

    def __init__(self) -> None:
        self.under_way = self.places = 0
        self.is_draining = False
        self.errors: list[bool] = []

    @property
    def is_full(self) -> bool:
        return self.places >= MAX_ONGOING

    async def enter(self) -> None:
        assert not self.is_full, "it would wait"
        self.places += 1

    def leave(self) -> None:
        self.places -= 1

    def began(self) -> float:
        self.under_way += 1
        return 0.0

    def called(self, began: float, error: bool) -> None:
        self.under_way -= 1
        self.errors.append(error)


class Chooser:
    """Hands out these replicas in turn to Serve's own router, and writes down what it hears."""

    def __init__(self, *replicas: RpcReplica) -> None:
        self.curr_replicas = {replica.replica_id: replica for replica in replicas}
        self.next = list(replicas)
        self.ongoing: dict[str, int] = dict.fromkeys(self.curr_replicas, 0)
        self.completed: list[str] = []

    async def _choose_replica_for_request(self, pr: Any, *, is_retry: bool) -> RpcReplica:
        return self.next.pop(0)

    def on_send_request(self, id_: str) -> None:
        self.ongoing[id_] += 1

    def on_new_queue_len_info(self, id_: str, ongoing: int) -> None:
        self.ongoing[id_] = ongoing

    def decrement_queue_len_cache(self, id_: str) -> None:
        self.ongoing[id_] -= 1

    def on_request_routed(self, *_: Any) -> None: ...

    def on_request_completed(self, id_: str, request: str) -> None:
        self.completed.append(id_)


def serves_router(chooser: Chooser) -> Any:
    """Serve's own code from a request to its result, over `chooser`."""

    class Router(AsyncioRouter):  # type: ignore[misc]
        request_router = chooser

    router: Any = object.__new__(Router)
    counts = SimpleNamespace(
        wrap_queued_request=lambda *_: nullcontext(),
        inc_num_running_requests_for_replica=lambda _: None,
        dec_num_running_requests_for_replica=lambda _: None,
    )
    initialized = asyncio.Event()
    initialized.set()
    vars(router).update(
        _metrics_manager=counts,
        _enable_strict_max_ongoing_requests=True,
        _event_loop=asyncio.get_running_loop(),
        _request_router_initialized=initialized,
    )
    return router


class Pair:
    """A replica with an RPC server, and what the router has of it."""

    def __init__(self, endpoint: RpcEndpoint, accounting: Accounting, target: Target, metadata: dict[str, Any]) -> None:
        self.endpoint, self.accounting, self.target = endpoint, accounting, target
        self.metadata = metadata
        self.clock = Clock()
        self.replica = RpcReplica(info_of({"rpc": metadata}), self.clock)

    def request(self, *texts: Any) -> Any:
        metadata = RequestMetadata("request", "request", call_method="encode_texts", _on_separate_loop=False)
        return PendingRequest(args=[list(texts), 1.5, None], kwargs={}, metadata=metadata, resolved=True)

    def send(self, *texts: Any, method: str = "encode_texts", **changes: Any) -> Any:
        metadata = SimpleNamespace(
            **({"call_method": method, "is_streaming": False, "_on_separate_loop": False} | changes)
        )
        args = [list(texts), 1.5, None]
        return self.replica.try_send_request(SimpleNamespace(metadata=metadata, args=args, kwargs={}), True)

    async def connected(self) -> None:
        assert self.send("a") == GRPC
        await until(lambda: self.replica.is_connected)

    async def connecting(self) -> None:
        """Until the attempt that is under way has ended."""
        assert self.replica._connecting is not None  # noqa: SLF001
        await self.replica._connecting  # noqa: SLF001


def info_of(metadata: dict[str, Any], replica_id: str = "r1") -> Any:
    actor = SimpleNamespace(_actor_id=SimpleNamespace(binary=lambda: ACTOR))
    return SimpleNamespace(
        multiplexed_model_ids=[],
        get_actor_handle=lambda: actor,
        is_cross_language=False,
        replica_metadata=metadata,
        replica_id=replica_id,
        max_ongoing_requests=MAX_ONGOING,
    )


@asynccontextmanager
async def paired(*methods: str) -> AsyncIterator[Pair]:
    target, accounting = Target(), Accounting()
    endpoint = RpcEndpoint(target, methods or METHODS, accounting)  # type: ignore[arg-type]
    pair = Pair(endpoint, accounting, target, await endpoint.start())
    try:
        yield pair
    finally:
        await endpoint.close()
        await until(lambda: not pair.replica.is_connected)
        await turns()
