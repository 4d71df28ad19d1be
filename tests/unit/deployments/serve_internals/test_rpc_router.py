"""Serve's own router over RPC connections: who is asked when a replica is full, dies or is no longer waited for."""

import asyncio
import warnings

import pytest

from deployments.messages import EncodeReply
from tests.support.aio import turns, until
from tests.support.rpc_pair import (
    GRPC,
    MAX_ONGOING,
    Chooser,
    info_of,
    paired,
    serves_router,
)

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from ray.exceptions import ActorUnavailableError

    from deployments.serve_internals.rpc_replica import RpcReplica

pytestmark = pytest.mark.usefixtures("without_serve")


async def test_a_full_replica_refuses_and_looks_full_to_the_router() -> None:
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


async def test_serves_router_gives_a_refused_call_to_another_replica() -> None:
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


@pytest.mark.parametrize("end", ["dies", "is cancelled"])
async def test_serves_router_gives_a_call_that_was_begun_to_no_other(end: str) -> None:
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


async def test_a_replica_that_dies_is_an_actor_that_is_gone_and_serve_is_asked_again() -> None:
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


async def test_a_cancelled_call_ends_at_the_replica() -> None:
    async with paired() as pair:
        await pair.connected()
        result = pair.send("hangs")
        await until(lambda: len(pair.target.open) == 1)
        result.cancel()
        await until(lambda: pair.target.cancelled == 1)
        assert (pair.accounting.under_way, pair.accounting.places) == (0, 0)


async def test_the_call_ends_with_the_router_that_waits_for_it() -> None:
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
