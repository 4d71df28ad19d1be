"""Both ends of a line as Serve has them: `deployments.serve_internals.rpc` and
`deployments.serve_internals.rpc_replica`.

The imports of Ray warn, and warnings are errors here.
"""

import asyncio
import threading
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from app.errors import ModelUnavailable
from tests.support.aio import run, turns, until

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from ray.exceptions import ActorUnavailableError
    from ray.serve._private.request_router.replica_wrapper import RunningReplica

    from deployments.clip import Clip
    from deployments.serve_internals import rpc, rpc_replica
    from deployments.serve_internals.router import LeastOutstandingRouter
    from deployments.serve_internals.rpc import RpcEndpoint
    from deployments.serve_internals.rpc_replica import RpcReplica, RpcResult
    from deployments.text_encoder import TextEncoder

ACTOR = b"a" * 16
GRPC = "by gRPC"


class Target:
    """A deployment's object."""

    def __init__(self) -> None:
        self.open: asyncio.Future[None] | None = None
        self.cancelled = 0

    async def twice(self, number: int, unit: str) -> str:
        return f"{2 * number} {unit}"

    async def fails(self) -> None:
        raise ModelUnavailable("small-model is unavailable.", "model", 30)

    async def raises_what_does_not_travel(self) -> None:
        error = RuntimeError("out of order")
        error.__dict__["lock"] = threading.Lock()
        raise error

    async def hangs(self) -> None:
        self.open = asyncio.get_running_loop().create_future()
        try:
            await self.open
        except asyncio.CancelledError:
            self.cancelled += 1
            raise

    async def secret(self) -> str:
        raise AssertionError("it is not among the line's methods")


class Ledger:
    """Of a replica."""

    def __init__(self) -> None:
        self.under_way = 0
        self.errors: list[bool] = []

    def began(self) -> float:
        self.under_way += 1
        return 0.0

    def called(self, began: float, error: bool) -> None:
        self.under_way -= 1
        self.errors.append(error)


class Pair:
    """A replica with a line, and what the router has of it."""

    def __init__(self, calls: RpcEndpoint, accounting: Ledger, target: Target, end: dict[str, Any]) -> None:
        self.calls, self.accounting, self.target = calls, accounting, target
        self.replica = RpcReplica(info_of({"line": end}))

    def send(self, method: str, *args: Any, **changes: Any) -> Any:
        metadata = SimpleNamespace(
            **({"call_method": method, "is_streaming": False, "_on_separate_loop": False} | changes)
        )
        return self.replica.try_send_request(SimpleNamespace(metadata=metadata, args=list(args), kwargs={}), True)

    async def connected(self) -> None:
        assert self.send("twice", 1, "m") == GRPC
        await until(lambda: self.replica._line is not None)  # noqa: SLF001


def info_of(metadata: dict[str, Any]) -> Any:
    actor = SimpleNamespace(_actor_id=SimpleNamespace(binary=lambda: ACTOR))
    return SimpleNamespace(
        multiplexed_model_ids=[],
        get_actor_handle=lambda: actor,
        is_cross_language=False,
        replica_metadata=metadata,
        replica_id="r1",
    )


@pytest.fixture(autouse=True)
def _without_serve(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RunningReplica, "try_send_request", lambda *_: GRPC)
    monkeypatch.setattr(rpc, "get_node_ip_address", lambda: "127.0.0.1")
    monkeypatch.setattr(rpc_replica, "AGAIN_S", 0.0)


@asynccontextmanager
async def lined(*methods: str) -> AsyncIterator[Pair]:
    target, accounting = Target(), Ledger()
    calls = RpcEndpoint(target, methods or ("twice", "fails", "hangs"), accounting)  # type: ignore[arg-type]
    pair = Pair(calls, accounting, target, await calls.start())
    try:
        yield pair
    finally:
        await calls.close()
        await until(lambda: pair.replica._line is None or not pair.replica._line.is_open)  # noqa: SLF001
        await turns()


def test_a_call_goes_by_grpc_until_the_line_is_there_and_then_by_the_line() -> None:
    async def main() -> None:
        async with lined() as pair:
            await pair.connected()
            result = pair.send("twice", 4, "m")
            assert isinstance(result, RpcResult)
            heard = await result.get_rejection_response()
            assert (heard.accepted, heard.num_ongoing_requests) == (True, 1)
            assert await result.get_async() == "8 m"
            assert (pair.accounting.under_way, pair.accounting.errors) == (0, [False])

    run(main())


def test_what_the_method_raises_arrives_whole() -> None:
    async def main() -> None:
        async with lined() as pair:
            await pair.connected()
            with pytest.raises(ModelUnavailable) as raised:
                await pair.send("fails").get_async()
            assert (raised.value.message, raised.value.retry_after) == ("small-model is unavailable.", 30)
            assert pair.accounting.errors == [True]

    run(main())


def test_what_does_not_travel_is_told_in_words() -> None:
    async def main() -> None:
        async with lined("twice", "raises_what_does_not_travel") as pair:
            await pair.connected()
            with pytest.raises(RuntimeError, match=r"RuntimeError\('out of order'\)"):
                await pair.send("raises_what_does_not_travel").get_async()

    run(main())


def test_only_the_lines_own_methods_and_plain_calls_go_by_it() -> None:
    async def main() -> None:
        async with lined() as pair:
            await pair.connected()
            connecting = pair.replica._connecting  # noqa: SLF001
            assert (pair.replica.is_lined("twice"), pair.replica.is_lined("secret")) == (True, False)
            assert pair.send("secret") == GRPC
            assert pair.send("twice", 1, "m", is_streaming=True) == GRPC
            assert pair.send("twice", 1, "m", _on_separate_loop=True) == GRPC
            assert pair.replica._connecting is connecting  # noqa: SLF001

    run(main())


def test_a_replica_that_dies_is_an_actor_that_is_gone_and_serve_is_asked_again() -> None:
    async def main() -> None:
        async with lined() as pair:
            await pair.connected()
            done: list[object] = []
            result = pair.send("hangs")
            result.add_done_callback(done.append)
            await until(lambda: pair.target.open is not None)
            assert pair.accounting.under_way == 1
            await pair.calls.close()
            with pytest.raises(ActorUnavailableError):
                await result.get_async()
            await turns()
            assert (len(done), pair.accounting.under_way) == (1, 0)
            assert pair.send("twice", 1, "m") == GRPC

    run(main())


def test_a_cancelled_call_ends_at_the_replica() -> None:
    async def main() -> None:
        async with lined() as pair:
            await pair.connected()
            result = pair.send("hangs")
            await until(lambda: pair.target.open is not None)
            result.cancel()
            await until(lambda: pair.target.cancelled == 1)
            assert pair.accounting.under_way == 0

    run(main())


def test_a_replica_without_a_line_is_called_as_serve_does() -> None:
    async def main() -> None:
        async with lined() as pair:
            pair.replica = RpcReplica(info_of({}))
            assert [pair.send("twice", 1, "m") for _ in range(3)] == [GRPC] * 3
            assert pair.replica._connecting is None  # noqa: SLF001

    run(main())


def test_a_line_that_nobody_answers_is_tried_again_and_serves_way_taken() -> None:
    async def main() -> None:
        async with lined() as pair:
            await pair.calls.close()
            for _ in range(2):
                assert pair.send("twice", 1, "m") == GRPC
                connecting = pair.replica._connecting  # noqa: SLF001
                assert connecting is not None
                await connecting
            assert pair.replica._line is None  # noqa: SLF001

    run(main())


def test_a_line_that_was_just_lost_is_not_asked_for_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rpc_replica, "AGAIN_S", 3600.0)

    async def main() -> None:
        async with lined() as pair:
            await pair.calls.close()
            assert pair.send("twice", 1, "m") == GRPC
            connecting = pair.replica._connecting  # noqa: SLF001
            assert connecting is not None
            await connecting
            assert pair.send("twice", 1, "m") == GRPC
            assert pair.replica._connecting is connecting  # noqa: SLF001

    run(main())


def test_work_that_others_cancelled_is_answered() -> None:
    async def main() -> None:
        async with lined() as pair:
            await pair.connected()
            result = pair.send("hangs")
            await until(lambda: pair.target.open is not None)
            assert pair.target.open is not None
            pair.target.open.cancel()
            with pytest.raises(RuntimeError, match="cancelled"):
                await result.get_async()

    run(main())


@pytest.mark.parametrize("deployment", [TextEncoder, Clip])
def test_encoders_tell_serve_of_their_line(monkeypatch: pytest.MonkeyPatch, deployment: Any) -> None:
    opened: list[tuple[str, ...]] = []

    async def opens(target: Any, *methods: str) -> tuple[None, dict[str, Any]]:
        opened.append(methods)
        assert all(callable(getattr(target, method)) for method in methods)
        return None, {"line": {}}

    monkeypatch.setattr(f"{deployment.__module__}.serve_rpc", opens)
    # Not one of its own: Serve awaits an encoder's end.
    target = SimpleNamespace(encode_texts=deployment.encode_texts, encode_images=len)
    assert run(deployment.record_replica_metadata(target)) == {"line": {}}
    assert opened == [("encode_texts",) if deployment is TextEncoder else ("encode_texts", "encode_images")]


def test_an_address_that_is_not_this_nodes_makes_no_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rpc, "get_node_ip_address", lambda: "203.0.113.7")
    monkeypatch.setattr(rpc, "own_ledger", Ledger)
    assert run(rpc.serve_rpc(Target(), "twice")) == (None, {})


def test_the_router_has_lined_replicas() -> None:
    router = object.__new__(LeastOutstandingRouter)
    assert isinstance(router.create_replica_wrapper(info_of({})), RpcReplica)


def test_a_process_that_is_no_replica_of_serves_opens_no_line() -> None:
    async def main() -> None:
        assert await rpc.serve_rpc(Target(), "twice") == (None, {})

    run(main())
