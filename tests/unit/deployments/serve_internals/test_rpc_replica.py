"""The router's end: `deployments.serve_internals.rpc_replica`."""

import asyncio
import logging
import warnings
from typing import Any

import pytest

from app.types import Prompted
from deployments.messages import EncodeReply
from tests.support.aio import turns, until
from tests.support.rpc_pair import (
    GRPC,
    info_of,
    paired,
    reply,
)

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from ray.serve.request_router import RequestRouter

    from deployments.serve_internals import probe, rpc_replica
    from deployments.serve_internals.router import LeastOutstandingRouter
    from deployments.serve_internals.rpc_replica import RpcReplica, RpcResult

pytestmark = pytest.mark.usefixtures("without_serve")


async def test_a_call_goes_by_grpc_until_there_is_a_connection_and_then_by_that() -> None:
    async with paired() as pair:
        await pair.connected()
        result = pair.send("a", Prompted("b", "p", "start"))
        assert isinstance(result, RpcResult)
        heard = await result.get_rejection_response()
        assert (heard.accepted, heard.num_ongoing_requests) == (True, 1)
        answer = await result.get_async()
        assert answer == reply(repr((["a", Prompted("b", "p", "start")], 1.5, None)).encode())
        assert (pair.accounting.under_way, pair.accounting.places, pair.accounting.errors) == (0, 0, [False])


async def test_a_replica_is_silent_from_a_call_that_was_given_up_to_the_next_answer() -> None:
    async with paired() as pair:
        await pair.connected()
        result = pair.send("hangs")
        await until(lambda: len(pair.target.open) == 1)
        assert not pair.replica.is_silent
        result.cancel()
        await turns()
        assert pair.replica.is_silent
        await pair.send("a").get_async()
        assert not pair.replica.is_silent
        pair.send("a", method="tokens")
        for given_up in (True, False):
            call: asyncio.Future[None] = asyncio.Future()
            call.cancel() if given_up else call.set_result(None)
            GRPC.ended(call)
            assert pair.replica.is_silent is given_up
        GRPC.ended("what an actor returned")
        assert not pair.replica.is_silent


async def test_images_go_as_bytes() -> None:
    async with paired() as pair:
        await pair.connected()
        assert await pair.send(b"a", b"", b"bc", method="encode_images").get_async() == reply(b"a||bc")


async def test_only_rpc_methods_and_plain_calls_go_by_rpc() -> None:
    async with paired() as pair:
        await pair.connected()
        connecting = pair.replica._connecting  # noqa: SLF001
        assert pair.send("a", method="tokens") == GRPC
        assert pair.send("a", is_streaming=True) == GRPC
        assert pair.send("a", _on_separate_loop=True) == GRPC
        assert pair.replica._connecting is connecting  # noqa: SLF001


@pytest.mark.parametrize("text", ["\ud800", object()])
async def test_what_can_not_be_written_as_a_frame_goes_by_grpc(text: Any) -> None:
    async with paired() as pair:
        await pair.connected()
        assert pair.send(text) == GRPC
        assert isinstance(pair.send("a"), RpcResult)


async def test_what_is_larger_than_a_frame_goes_by_grpc() -> None:
    async with paired() as pair:
        await pair.connected()
        pair.replica._connection.max_bytes = 500  # type: ignore[union-attr]  # noqa: SLF001
        assert pair.send("a" * 500) == GRPC
        assert isinstance(pair.send("a"), RpcResult)


@pytest.mark.parametrize("metadata", [{}, {"line": {}}, {"rpc": {"protocol": 2, "methods": ["encode_texts"]}}])
async def test_a_replica_without_a_server_or_with_another_protocol_is_called_as_serve_does(
    metadata: dict[str, Any],
) -> None:
    async with paired() as pair:
        pair.replica = RpcReplica(info_of(metadata))
        assert [pair.send("a") for _ in range(3)] == [GRPC] * 3
        assert pair.replica._connecting is None  # noqa: SLF001


async def test_attempts_to_connect_are_further_and_further_apart(caplog: pytest.LogCaptureFixture) -> None:
    gaps: list[float] = []

    with caplog.at_level(logging.INFO, rpc_replica.__name__):
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
    assert gaps == [0.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    assert len(caplog.records) == 1


async def test_a_connection_that_was_lost_is_had_again_after_a_second() -> None:
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


async def test_a_replica_that_the_router_drops_is_closed_after_its_last_call(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[Any] = []
    monkeypatch.setattr(RequestRouter, "update_replicas", lambda _, replicas: kept.extend(replicas))

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


async def test_a_replica_that_is_dropped_while_it_connects_is_not_connected() -> None:
    async with paired() as pair:
        assert pair.send("a") == GRPC
        pair.replica.close()
        await turns()
        assert not pair.replica.is_connected
        await until(lambda: not pair.endpoint._server.connections)  # noqa: SLF001


def test_the_router_has_replicas_that_are_called_by_rpc_and_they_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "why_not", lambda part: None)
    monkeypatch.setattr(RequestRouter, "update_replicas", lambda *_: None)
    router = object.__new__(LeastOutstandingRouter)
    router._replicas = {}
    replica = router.create_replica_wrapper(info_of({}))
    assert isinstance(replica, RpcReplica)
    router.update_replicas([replica])
    assert replica in probe.rpc_replicas
