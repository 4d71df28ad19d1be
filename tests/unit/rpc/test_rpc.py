"""`app.rpc.connection` and `app.rpc.server` over real sockets on loopback."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import pytest
import uvloop

from app.rpc import connection as line
from app.rpc import server as line_server
from app.rpc.connection import CALL, HEADER, WELCOME, ConnectionLost, RpcConnection, connect
from app.rpc.server import Answer, RpcServer
from tests.support.aio import run, turns, until

SECRET = b"s" * 32
HOST = "127.0.0.1"


class Works:
    """Answers when told to, with what it was asked in capitals."""

    def __init__(self) -> None:
        self.open: dict[bytes, asyncio.Future[None]] = {}
        self.cancelled: list[bytes] = []

    async def __call__(self, call: bytes) -> bytes:
        self.open[call] = asyncio.get_running_loop().create_future()
        try:
            await self.open[call]
        except asyncio.CancelledError:
            self.cancelled.append(call)
            raise
        return call.upper()


@asynccontextmanager
async def served(answer: Answer) -> AsyncIterator[tuple[RpcServer, int]]:
    server = RpcServer(answer, SECRET)
    port = await server.start(HOST)
    try:
        yield server, port
    finally:
        await server.close()
        await until(lambda: not server.connections)
        await turns()  # until transports are closed that were aborted


async def closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(ConnectionResetError):
        await writer.wait_closed()


async def ended(one: RpcConnection) -> None:
    one.transport.close()
    await until(lambda: not one.is_open)


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_calls_overlap_and_each_gets_its_own_answer(loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def main() -> None:
        works = Works()
        async with served(works) as (_, port):
            one = await connect(HOST, port, SECRET)
            calls = {name: one.call(name) for name in (b"a", b"b", b"c")}
            await until(lambda: len(works.open) == 3)
            assert len(one) == 3
            for name in (b"c", b"a", b"b"):
                works.open[name].set_result(None)
                assert await calls[name] == name.upper()
            assert len(one) == 0
            await ended(one)

    # Serve's replicas run on uvloop, whose transports are their own.
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(asyncio.wait_for(main(), 10))


@pytest.mark.parametrize("size", [0, 1, 5 * 2**20])
def test_bytes_of_any_size_come_whole(size: int) -> None:
    async def echo(call: bytes) -> bytes:
        return call

    async def main() -> None:
        async with served(echo) as (_, port):
            one = await connect(HOST, port, SECRET)
            payload = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
            assert await asyncio.gather(*(one.call(payload) for _ in range(3))) == [payload] * 3
            await ended(one)

    run(main())


def test_who_does_not_know_the_secret_is_not_listened_to() -> None:
    async def main() -> None:
        works = Works()
        async with served(works) as (server, port):
            for wrong in (b"", b"s" * 15, b"t" * 32, b"t" * 16 + b"s" * 16):
                with pytest.raises(ConnectionLost):
                    await connect(HOST, port, wrong)
            # Nor who leaves it out.
            reader, writer = await asyncio.open_connection(HOST, port)
            writer.write(HEADER.pack(2, 1, CALL) + b"hi")
            with suppress(ConnectionResetError):
                assert await reader.read() == b""
            await closed(writer)
            await until(lambda: not server.connections)
            assert works.open == {}

    run(main())


def test_who_answers_without_knowing_the_secret_is_not_called() -> None:
    async def main() -> None:
        async def stranger(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1)
            writer.write(HEADER.pack(16, 0, WELCOME) + b"t" * 16)
            await closed(writer)

        server = await asyncio.start_server(stranger, HOST, 0)
        with pytest.raises(ConnectionLost):
            await connect(HOST, server.sockets[0].getsockname()[1], SECRET)
        server.close()
        await turns()

    run(main())


def test_a_known_line_is_not_ended_by_the_patience_with_strangers() -> None:
    async def main() -> None:
        async with served(Works()) as (server, port):
            one = await connect(HOST, port, SECRET)
            [connection] = server.connections
            assert connection._patience.cancelled()  # noqa: SLF001
            await ended(one)

    run(main())


def test_an_end_that_is_silent_is_asked_and_a_slow_one_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line, "SILENT_S", 0.0)
    monkeypatch.setattr(line, "PONG_S", 0.05)

    async def main() -> None:
        works = Works()
        async with served(works) as (server, port):
            slow, dead = await connect(HOST, port, SECRET), await connect(HOST, port, SECRET)
            heard, other = slow._heard_at, dead.call(b"other")  # noqa: SLF001
            [deaf] = [c for c in server.connections if c.transport.get_extra_info("peername") == name_of(dead)]
            deaf.arrived = lambda *_: None  # type: ignore[method-assign]
            for one in (slow, dead):
                call = one.call(b"given up")
                await turns()
                call.cancel()
            with pytest.raises(ConnectionLost):
                await other
            assert (slow.is_open, slow._heard_at > heard, dead.is_open) == (True, True, False)  # noqa: SLF001
            await ended(slow)

    run(main())


def name_of(one: RpcConnection) -> object:
    return one.transport.get_extra_info("sockname")


def test_who_says_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line_server, "SECRET_S", 0.0)

    async def main() -> None:
        async with served(Works()) as (_, port):
            reader, writer = await asyncio.open_connection(HOST, port)
            with suppress(ConnectionResetError):
                assert await reader.read() == b""
            await closed(writer)

    run(main())


def test_a_cancelled_call_ends_its_work_and_no_other() -> None:
    async def main() -> None:
        works = Works()
        async with served(works) as (_, port):
            one = await connect(HOST, port, SECRET)
            first, second = one.call(b"a"), one.call(b"b")
            await until(lambda: len(works.open) == 2)
            first.cancel()
            await until(lambda: works.cancelled == [b"a"])
            works.open[b"b"].set_result(None)
            assert await second == b"B"
            await ended(one)

    run(main())


def test_calls_are_lost_with_the_other_end_and_later_ones_not_begun() -> None:
    async def main() -> None:
        works = Works()
        async with served(works) as (server, port):
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

    run(main())


def test_work_ends_with_the_caller() -> None:
    async def main() -> None:
        works = Works()
        async with served(works) as (_, port):
            one = await connect(HOST, port, SECRET)
            call = one.call(b"a")
            await until(lambda: len(works.open) == 1)
            one.transport.abort()
            with pytest.raises(ConnectionLost):
                await call
            await until(lambda: works.cancelled == [b"a"])

    run(main())


def test_a_frame_that_is_too_large_ends_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with served(Works()) as (server, port):
            one = await connect(HOST, port, SECRET)
            [connection] = server.connections
            connection.most_bytes = 10
            with pytest.raises(ConnectionLost):
                await one.call(b"x" * 11)

    run(main())


def test_one_that_nobody_answers_holds_up_no_other() -> None:
    async def fails(call: bytes) -> bytes:
        if call == b"bad":
            raise RuntimeError("out of order")
        return call

    async def main() -> None:
        faults: list[str] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(str(context["exception"])))
        async with served(fails) as (_, port):
            one = await connect(HOST, port, SECRET)
            bad = one.call(b"bad")
            assert await one.call(b"good") == b"good"
            assert not bad.done()
            await ended(one)
            with pytest.raises(ConnectionLost):
                await bad

    run(main())
