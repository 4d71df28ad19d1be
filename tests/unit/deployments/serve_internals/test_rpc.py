"""Both ends of an RPC connection as Serve has them: `deployments.serve_internals.rpc` and
`deployments.serve_internals.rpc_replica`.

The imports of Ray warn, and warnings are errors here.
"""

import asyncio
import logging
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

from app.errors import InternalError, ModelUnavailable
from app.types import Prompted
from deployments.messages import EncodeReply
from tests.support.aio import Clock, run, turns, until

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from ray.exceptions import ActorUnavailableError
    from ray.serve._private.common import RequestMetadata
    from ray.serve._private.request_router.replica_wrapper import RunningReplica
    from ray.serve._private.router import AsyncioRouter
    from ray.serve.request_router import PendingRequest, RequestRouter

    from deployments.clip import Clip
    from deployments.serve_internals import probe, rpc, rpc_replica
    from deployments.serve_internals.router import LeastOutstandingRouter
    from deployments.serve_internals.rpc import RpcEndpoint
    from deployments.serve_internals.rpc_replica import RpcReplica, RpcResult
    from deployments.text_encoder import TextEncoder

ACTOR = b"a" * 16
GRPC = "by gRPC"
MAX_ONGOING = 3
METHODS = ("encode_texts", "encode_images")


def reply(packed: bytes) -> EncodeReply:
    return EncodeReply(packed, {}, "f", "r1", 0.0, 0.0, 1.0, 1.0, 1)


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


@pytest.fixture(autouse=True)
def _without_serve(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RunningReplica, "try_send_request", lambda *_: GRPC)
    monkeypatch.setattr(rpc, "get_node_ip_address", lambda: "127.0.0.1")


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


def test_a_call_goes_by_grpc_until_there_is_a_connection_and_then_by_that() -> None:
    async def main() -> None:
        async with paired() as pair:
            await pair.connected()
            result = pair.send("a", Prompted("b", "p", "start"))
            assert isinstance(result, RpcResult)
            heard = await result.get_rejection_response()
            assert (heard.accepted, heard.num_ongoing_requests) == (True, 1)
            answer = await result.get_async()
            assert answer == reply(repr((["a", Prompted("b", "p", "start")], 1.5, None)).encode())
            assert (pair.accounting.under_way, pair.accounting.places, pair.accounting.errors) == (0, 0, [False])

    run(main())


def test_images_go_as_bytes() -> None:
    async def main() -> None:
        async with paired() as pair:
            await pair.connected()
            assert await pair.send(b"a", b"", b"bc", method="encode_images").get_async() == reply(b"a||bc")

    run(main())


def test_the_secret_is_hex_in_the_metadata_and_another_for_each_replica() -> None:
    async def main() -> None:
        async with paired() as one, paired() as other:
            secrets = [pair.metadata["secret"] for pair in (one, other)]
            assert [len(bytes.fromhex(secret)) for secret in secrets] == [32, 32]
            assert secrets[0] != secrets[1]
            assert one.metadata["methods"] == ["encode_images", "encode_texts"]

    run(main())


def test_what_the_method_raises_arrives_by_its_code() -> None:
    async def main() -> None:
        async with paired() as pair:
            await pair.connected()
            with pytest.raises(ModelUnavailable) as raised:
                await pair.send("fails").get_async()
            assert (raised.value.message, raised.value.retry_after) == ("small-model is unavailable.", 30)
            with pytest.raises(InternalError, match=r"^A deployment failed unexpectedly\.$"):
                await pair.send("breaks").get_async()
            assert pair.accounting.errors == [True, True]
            assert (pair.accounting.under_way, pair.accounting.places) == (0, 0)

    run(main())


@pytest.mark.parametrize("head", [b"", b"[]", b"{", b'{"method": 1}', b'{"method": "tokens"}', b"\x80"])
def test_a_call_that_can_not_be_read_is_an_error_and_holds_no_place(head: bytes) -> None:
    async def main() -> None:
        async with paired() as pair:
            await pair.connected()
            connection = pair.replica._connection  # noqa: SLF001
            assert connection is not None
            with pytest.raises(Exception, match=r"unexpectedly|lacks"):
                await connection.call(head)
            assert (pair.accounting.under_way, pair.accounting.places) == (0, 0)
            assert isinstance(await pair.send("a").get_async(), EncodeReply)

    run(main())


def test_a_method_that_is_not_among_them_is_not_called() -> None:
    async def main() -> None:
        async with paired("encode_images") as pair:
            pair.replica._methods = frozenset(METHODS)  # noqa: SLF001
            await pair.connected()
            with pytest.raises(InternalError):
                await pair.send("a").get_async()

    run(main())


def test_only_rpc_methods_and_plain_calls_go_by_rpc() -> None:
    async def main() -> None:
        async with paired() as pair:
            await pair.connected()
            connecting = pair.replica._connecting  # noqa: SLF001
            assert pair.send("a", method="tokens") == GRPC
            assert pair.send("a", is_streaming=True) == GRPC
            assert pair.send("a", _on_separate_loop=True) == GRPC
            assert pair.replica._connecting is connecting  # noqa: SLF001

    run(main())


@pytest.mark.parametrize("text", ["\ud800", object()])
def test_what_can_not_be_written_as_a_frame_goes_by_grpc(text: Any) -> None:
    async def main() -> None:
        async with paired() as pair:
            await pair.connected()
            assert pair.send(text) == GRPC
            assert isinstance(pair.send("a"), RpcResult)

    run(main())


def test_what_is_larger_than_a_frame_goes_by_grpc() -> None:
    async def main() -> None:
        async with paired() as pair:
            await pair.connected()
            pair.replica._connection.max_bytes = 500  # type: ignore[union-attr]  # noqa: SLF001
            assert pair.send("a" * 500) == GRPC
            assert isinstance(pair.send("a"), RpcResult)

    run(main())


def test_a_full_replica_refuses_and_looks_full_to_the_router() -> None:
    async def main() -> None:
        async with paired() as pair:
            await pair.connected()
            results = [pair.send("hangs") for _ in range(MAX_ONGOING)]
            await until(lambda: len(pair.target.open) == MAX_ONGOING)
            refused = pair.send("a")
            heard = await refused.get_rejection_response()
            assert (heard.accepted, heard.num_ongoing_requests) == (False, MAX_ONGOING)
            assert pair.accounting.under_way == MAX_ONGOING
            for work in pair.target.open:
                work.set_result(None)
            assert all([(await result.get_rejection_response()).accepted for result in results])
            assert (await pair.send("a").get_rejection_response()).accepted
            assert pair.accounting.errors == [False] * (MAX_ONGOING + 1)

    run(main())


def test_a_replica_that_drains_refuses_and_finishes_what_it_has() -> None:
    async def main() -> None:
        async with paired() as pair:
            await pair.connected()
            result = pair.send("hangs")
            await until(lambda: len(pair.target.open) == 1)
            pair.accounting.is_draining = True
            heard = await pair.send("a").get_rejection_response()
            assert (heard.accepted, heard.num_ongoing_requests) == (False, MAX_ONGOING)
            pair.target.open[0].set_result(None)
            assert (await result.get_rejection_response()).accepted
            assert isinstance(await result.get_async(), EncodeReply)

    run(main())


def test_serves_router_gives_a_refused_call_to_another_replica() -> None:
    async def main() -> None:
        async with paired() as one, paired() as other:
            other.replica = RpcReplica(info_of({"rpc": other.metadata}, "r2"), other.clock)
            for pair in (one, other):
                await pair.connected()
            one.accounting.is_draining = True
            chooser = Chooser(one.replica, other.replica)
            result = await serves_router(chooser).route_and_send_request(one.request("a"), "response")
            assert isinstance(await result.get_async(), EncodeReply)
            await turns()
            assert (one.accounting.errors, other.accounting.errors) == ([], [False])
            assert chooser.completed == ["r1", "r2"]
            # The one looks full, the other is free again.
            assert chooser.ongoing == {"r1": MAX_ONGOING, "r2": 0}

    run(main())


@pytest.mark.parametrize("end", ["dies", "is cancelled"])
def test_serves_router_gives_a_call_that_was_begun_to_no_other(end: str) -> None:
    async def main() -> None:
        async with paired() as one, paired() as other:
            for pair in (one, other):
                await pair.connected()
            chooser = Chooser(one.replica, other.replica)
            sending = asyncio.create_task(serves_router(chooser).route_and_send_request(one.request("hangs"), "r"))
            await until(lambda: len(one.target.open) == 1)
            if end == "dies":
                await one.endpoint._server.close()  # noqa: SLF001
                with pytest.raises(ActorUnavailableError):
                    await (await sending).get_async()
            else:
                sending.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await sending
            await until(lambda: one.target.cancelled == 1)
            await turns()
            assert (other.accounting.errors, chooser.completed) == ([], ["r1"])
            assert len(chooser.next) == 1

    run(main())


def test_a_replica_that_dies_is_an_actor_that_is_gone_and_serve_is_asked_again() -> None:
    async def main() -> None:
        async with paired() as pair:
            await pair.connected()
            done: list[object] = []
            result = pair.send("hangs")
            result.add_done_callback(done.append)
            await until(lambda: len(pair.target.open) == 1)
            assert pair.accounting.under_way == 1
            await pair.endpoint._server.close()  # noqa: SLF001
            # It may be the call that ended it: Serve's router must not give it to another.
            assert (await result.get_rejection_response()).accepted
            with pytest.raises(ActorUnavailableError):
                await result.get_async()
            await turns()
            assert (len(done), pair.accounting.under_way, pair.accounting.places) == (1, 0, 0)
            assert pair.send("a") == GRPC

    run(main())


def test_a_cancelled_call_ends_at_the_replica() -> None:
    async def main() -> None:
        async with paired() as pair:
            await pair.connected()
            result = pair.send("hangs")
            await until(lambda: len(pair.target.open) == 1)
            result.cancel()
            await until(lambda: pair.target.cancelled == 1)
            assert (pair.accounting.under_way, pair.accounting.places) == (0, 0)

    run(main())


def test_the_call_ends_with_the_router_that_waits_for_it() -> None:
    async def main() -> None:
        async with paired() as pair:
            await pair.connected()
            result = pair.send("hangs")
            waiting = asyncio.create_task(result.get_rejection_response())
            await until(lambda: len(pair.target.open) == 1)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            result.cancel()  # as the router does
            await until(lambda: pair.target.cancelled == 1)

    run(main())


@pytest.mark.parametrize("metadata", [{}, {"line": {}}, {"rpc": {"protocol": 2, "methods": ["encode_texts"]}}])
def test_a_replica_without_a_server_or_with_another_protocol_is_called_as_serve_does(metadata: dict[str, Any]) -> None:
    async def main() -> None:
        async with paired() as pair:
            pair.replica = RpcReplica(info_of(metadata))
            assert [pair.send("a") for _ in range(3)] == [GRPC] * 3
            assert pair.replica._connecting is None  # noqa: SLF001

    run(main())


def test_attempts_to_connect_are_further_and_further_apart(caplog: pytest.LogCaptureFixture) -> None:
    gaps: list[float] = []

    async def main() -> None:
        async with paired() as pair:
            await pair.endpoint.close()
            for _ in range(7):
                began, attempt = pair.clock.now, pair.replica._connecting  # noqa: SLF001
                while pair.replica._connecting is attempt:  # noqa: SLF001
                    assert pair.send("a") == GRPC
                    pair.clock.now += 1.0
                gaps.append(pair.clock.now - began - 1.0)
                await pair.connecting()
            assert not pair.replica.is_connected

    with caplog.at_level(logging.INFO, rpc_replica.__name__):
        run(main())
    assert gaps == [0.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    assert len(caplog.records) == 1


def test_a_connection_that_was_lost_is_had_again_after_a_second() -> None:
    async def main() -> None:
        async with paired() as pair:
            await pair.connected()
            pair.replica._connection.abort()  # type: ignore[union-attr]  # noqa: SLF001
            await turns()
            attempt = pair.replica._connecting  # noqa: SLF001
            assert pair.send("a") == GRPC
            assert pair.replica._connecting is attempt  # noqa: SLF001
            pair.clock.now += rpc_replica.RETRY_S
            assert pair.send("a") == GRPC
            await until(lambda: pair.replica.is_connected)
            assert isinstance(await pair.send("a").get_async(), EncodeReply)

    run(main())


def test_a_replica_that_the_router_drops_is_closed_after_its_last_call(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[Any] = []
    monkeypatch.setattr(RequestRouter, "update_replicas", lambda _, replicas: kept.extend(replicas))

    async def main() -> None:
        async with paired() as pair, paired() as other:
            router = object.__new__(LeastOutstandingRouter)
            router._replicas = {"r1": pair.replica, "r2": other.replica, "grpc": object()}
            for one in (pair, other):
                await one.connected()
            result = pair.send("hangs")
            await until(lambda: len(pair.target.open) == 1)
            router.update_replicas([other.replica])
            assert pair.send("a") == GRPC
            pair.target.open[0].set_result(None)
            assert isinstance(await result.get_async(), EncodeReply)
            await until(lambda: not pair.endpoint._server.connections)  # noqa: SLF001
            assert not pair.replica.is_connected
            assert isinstance(await other.send("a").get_async(), EncodeReply)
            assert kept == [other.replica]

    run(main())


def test_a_replica_that_is_dropped_while_it_connects_is_not_connected() -> None:
    async def main() -> None:
        async with paired() as pair:
            assert pair.send("a") == GRPC
            pair.replica.close()
            await turns()
            assert not pair.replica.is_connected
            await until(lambda: not pair.endpoint._server.connections)  # noqa: SLF001

    run(main())


def test_work_that_others_cancelled_is_answered() -> None:
    async def main() -> None:
        async with paired() as pair:
            await pair.connected()
            result = pair.send("hangs")
            await until(lambda: len(pair.target.open) == 1)
            pair.target.open[0].cancel()
            with pytest.raises(InternalError):
                await result.get_async()

    run(main())


@pytest.mark.parametrize("deployment", [TextEncoder, Clip])
def test_encoders_tell_serve_of_their_server(monkeypatch: pytest.MonkeyPatch, deployment: Any) -> None:
    opened: list[tuple[str, ...]] = []

    async def opens(target: Any, *methods: str, setting: str) -> tuple[None, dict[str, Any]]:
        opened.append((setting, *methods))
        assert all(callable(getattr(target, method)) for method in methods)
        return None, {"rpc": {}}

    monkeypatch.setattr(f"{deployment.record_replica_metadata.__module__}.serve_rpc", opens)
    # Not one of its own: Serve awaits an encoder's end.
    target = SimpleNamespace(
        encode_texts=deployment.encode_texts,
        encode_images=len,
        _serve_bypass="require",
        rpc_methods=deployment.rpc_methods,
    )
    assert run(deployment.record_replica_metadata(target)) == {"rpc": {}}
    assert opened == [("require", *(("encode_texts",) if deployment is TextEncoder else METHODS))]


def test_an_address_that_is_not_this_nodes_makes_no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rpc, "get_node_ip_address", lambda: "203.0.113.7")
    monkeypatch.setattr(rpc, "own_accounting", Accounting)
    monkeypatch.setattr(probe, "why_not", lambda part: None)
    assert run(rpc.serve_rpc(Target(), "encode_texts")) == (None, {})
    with pytest.raises(RuntimeError, match="require"):
        run(rpc.serve_rpc(Target(), "encode_texts", setting="require"))


def test_a_server_on_the_loopback_address_of_ipv6_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rpc, "get_node_ip_address", lambda: "::1")

    async def main() -> None:
        async with paired() as pair:
            assert pair.metadata["host"] == "::1"
            await pair.connected()
            assert isinstance(await pair.send("a").get_async(), EncodeReply)

    run(main())


def test_the_router_has_replicas_that_are_called_by_rpc_and_they_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "why_not", lambda part: None)
    replica = object.__new__(LeastOutstandingRouter).create_replica_wrapper(info_of({}))
    assert isinstance(replica, RpcReplica)
    assert replica in probe.rpc_replicas


@pytest.mark.parametrize("setting", ["off", ("middleware",)])
def test_no_port_is_opened_where_the_setting_says_so(monkeypatch: pytest.MonkeyPatch, setting: Any) -> None:
    monkeypatch.setattr(probe, "why_not", lambda part: None)
    assert run(rpc.serve_rpc(Target(), "encode_texts", setting=setting)) == (None, {})


def test_a_process_that_is_no_replica_of_serves_opens_no_server() -> None:
    assert run(rpc.serve_rpc(Target(), "encode_texts")) == (None, {})
    with pytest.raises(RuntimeError, match="no replica of Serve's"):
        run(rpc.serve_rpc(Target(), "encode_texts", setting="require"))
