"""Calls over RPC connections, on real sockets on loopback."""

import asyncio
import logging
from contextlib import suppress
from typing import Any

import pytest

from app.errors import InternalError, ModelUnavailable
from app.rpc import connection as rpc_connection
from app.rpc.connection import RpcConnection, connect
from app.rpc.frames import CALL, CHALLENGE, HEADER, CallRefused, ConnectionLost
from tests.support.aio import in_time, turns, until
from tests.support.rpc import HOST, SECRET, echo, ended, rpc_server


class Works:
    """Answers when told to, with what it was asked in capitals."""

    def __init__(self) -> None:
        self.open: dict[bytes, asyncio.Future[None]] = {}
        self.cancelled: list[bytes] = []

    def end(self) -> None:
        """For a server that would wait for them."""
        for work in self.open.values():
            if not work.done():
                work.set_result(None)

    async def __call__(self, head: bytes, body: bytes) -> tuple[bytes, bytes]:
        self.open[head] = asyncio.get_running_loop().create_future()
        try:
            await self.open[head]
        except asyncio.CancelledError:
            self.cancelled.append(head)
            raise
        return head.upper(), body


# Serve's replicas run on uvloop, whose transports are their own.
@pytest.mark.parametrize(
    "anyio_backend", [("asyncio", {"use_uvloop": it}) for it in (False, True)], ids=["asyncio", "uvloop"]
)
async def test_calls_overlap_and_each_gets_its_own_answer(anyio_backend: Any) -> None:
    works = Works()
    assert ("uvloop" in type(asyncio.get_running_loop()).__module__) == anyio_backend[1]["use_uvloop"]
    async with rpc_server(works) as (_, port):
        one = await connect(HOST, port, SECRET)
        calls = {name: one.call(name, name * 2) for name in (b"a", b"b", b"c")}
        await until(lambda: len(works.open) == 3)
        assert len(one) == 3
        for name in (b"c", b"a", b"b"):
            works.open[name].set_result(None)
            assert await calls[name] == (name.upper(), name * 2)
        assert len(one) == 0
        await ended(one)


async def test_a_server_on_the_loopback_address_of_ipv6_is_called() -> None:
    async with rpc_server(echo, "::1") as (_, port):
        one = await connect("::1", port, SECRET)
        assert await one.call(b"a", b"b") == (b"a", b"b")
        await ended(one)


@pytest.mark.parametrize("size", [0, 1, 5 * 2**20])
async def test_bytes_of_any_size_come_whole(size: int) -> None:
    async with rpc_server(echo) as (_, port):
        one = await connect(HOST, port, SECRET)
        payload = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
        answers = await asyncio.gather(*(one.call(payload[:1000], payload) for _ in range(3)))
        assert answers == [(payload[:1000], payload)] * 3
        await ended(one)


async def test_an_end_that_is_silent_is_asked_and_a_slow_one_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rpc_connection, "SILENT_S", 0.0)
    monkeypatch.setattr(rpc_connection, "PONG_S", 0.05)

    works = Works()
    async with rpc_server(works) as (server, port):
        slow, dead = await connect(HOST, port, SECRET), await connect(HOST, port, SECRET)
        heard, other = slow._heard_at, dead.call(b"other")  # noqa: SLF001
        [deaf] = [c for c in server.connections if c.transport.get_extra_info("peername") == name_of(dead)]
        deaf.frame_received = lambda *_: None  # type: ignore[method-assign]
        for one in (slow, dead):
            call = one.call(b"given up")
            await turns()
            call.cancel()
        with pytest.raises(ConnectionLost):
            await in_time(other)
        assert (slow.is_open, slow._heard_at > heard, dead.is_open) == (True, True, False)  # noqa: SLF001
        await ended(slow)


def name_of(one: RpcConnection) -> object:
    return one.transport.get_extra_info("sockname")


async def test_a_cancelled_call_ends_its_work_and_no_other() -> None:
    works = Works()
    async with rpc_server(works) as (_, port):
        one = await connect(HOST, port, SECRET)
        first, second = one.call(b"a"), one.call(b"b")
        await until(lambda: len(works.open) == 2)
        first.cancel()
        await until(lambda: works.cancelled == [b"a"])
        works.open[b"b"].set_result(None)
        assert await second == (b"B", b"")
        await ended(one)


async def test_calls_are_lost_with_the_other_end_and_later_ones_not_begun() -> None:
    works = Works()
    async with rpc_server(works) as (server, port):
        one = await connect(HOST, port, SECRET)
        call = one.call(b"a")
        await until(lambda: len(works.open) == 1)
        await server.close()
        with pytest.raises(ConnectionLost):
            await call
        with pytest.raises(ConnectionLost):
            one.call(b"b")
    with pytest.raises(ConnectionRefusedError):
        await connect(HOST, port, SECRET)


async def test_work_ends_with_the_caller() -> None:
    works = Works()
    async with rpc_server(works) as (_, port):
        one = await connect(HOST, port, SECRET)
        call = one.call(b"a")
        await until(lambda: len(works.open) == 1)
        one.transport.abort()
        with pytest.raises(ConnectionLost):
            await call
        await until(lambda: works.cancelled == [b"a"])


async def test_a_connection_that_is_closed_ends_with_its_last_call_and_takes_no_other() -> None:
    works = Works()
    async with rpc_server(works) as (server, port):
        idle, busy = await connect(HOST, port, SECRET), await connect(HOST, port, SECRET)
        call = busy.call(b"a")
        await until(lambda: len(works.open) == 1)
        for one in (idle, busy):
            one.close()
            with pytest.raises(ConnectionLost):
                one.call(b"b")
        await until(lambda: not idle.is_open)
        works.open[b"a"].set_result(None)
        assert await call == (b"A", b"")
        await until(lambda: not server.connections)


async def test_a_server_that_ends_finishes_its_calls_and_refuses_new_ones() -> None:
    works = Works()
    async with rpc_server(works) as (server, port):
        one = await connect(HOST, port, SECRET)
        call = one.call(b"a")
        await until(lambda: len(works.open) == 1)
        closing = asyncio.create_task(server.close(5.0))
        await turns()
        with pytest.raises(CallRefused):
            await one.call(b"late")
        works.open[b"a"].set_result(None)
        assert await call == (b"A", b"")
        await closing
        assert [*works.open] == [b"a"]


@pytest.mark.parametrize("size", [11, 2**20])
async def test_a_frame_that_is_too_large_ends_the_connection(size: int) -> None:
    async with rpc_server(echo) as (server, port):
        one = await connect(HOST, port, SECRET)
        [connection] = server.connections
        connection.max_bytes = 10
        with pytest.raises(ConnectionLost):
            await one.call(b"x", b"x" * (size - 1))


async def test_a_call_that_is_too_large_is_not_sent() -> None:
    async with rpc_server(echo) as (_, port):
        one = await connect(HOST, port, SECRET)
        one.max_bytes = 10
        with pytest.raises(ValueError, match="larger"):
            one.call(b"x" * 5, b"x" * 6)
        assert await one.call(b"x" * 5, b"x" * 5) == (b"x" * 5, b"x" * 5)
        await ended(one)


async def test_errors_come_by_their_code_and_others_by_a_constant_text(caplog: pytest.LogCaptureFixture) -> None:
    async def fails(head: bytes, body: bytes) -> tuple[bytes, bytes]:
        if head == b"ours":
            raise ModelUnavailable("small-model is unavailable.", "model", 30)
        if head == b"cancelled":
            raise asyncio.CancelledError
        if head == b"no JSON":
            raise ModelUnavailable("\ud800")
        raise RuntimeError("/a/path: out of order")

    with caplog.at_level(logging.ERROR, "app.rpc"):
        async with rpc_server(fails) as (_, port):
            one = await connect(HOST, port, SECRET)
            with pytest.raises(ModelUnavailable) as raised:
                await one.call(b"ours")
            error = raised.value
            assert (error.message, error.param, error.retry_after) == ("small-model is unavailable.", "model", 30)
            for head in (b"another", b"cancelled", b"no JSON"):
                with pytest.raises(InternalError, match=r"^A deployment failed unexpectedly\.$"):
                    await one.call(head)
            await ended(one)
    assert "/a/path: out of order" in caplog.text


async def test_the_number_of_a_call_that_is_under_way_is_not_used_twice() -> None:
    works = Works()
    async with rpc_server(works) as (_, port):
        one = await connect(HOST, port, SECRET)
        call = one.call(b"a")
        one.write(CALL, 1, b"b")
        try:
            with pytest.raises(ConnectionLost):
                await in_time(call)
            assert b"b" not in works.open
        finally:
            works.end()


async def test_who_has_not_proved_itself_can_make_the_caller_hold_64_bytes_only() -> None:
    taken = 0

    async def stranger(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal taken
        await reader.readexactly(HEADER.size)
        writer.write(HEADER.pack(0, 2**24, 0, CHALLENGE))
        with suppress(ConnectionError):
            while True:
                writer.write(bytes(2**16))
                await writer.drain()
                taken += 2**16
        writer.close()

    async with await asyncio.start_server(stranger, HOST, 0) as server:
        with pytest.raises(ConnectionLost):
            await connect(HOST, server.sockets[0].getsockname()[1], SECRET)
    assert taken < 2**24
