"""Who may call, on real sockets on loopback: strangers are refused, bounded in number and time, and logged once."""

import asyncio
import hmac
import logging
from contextlib import suppress

import pytest

from app.rpc import server as rpc_server_module
from app.rpc.connection import connect
from app.rpc.frames import (
    CALL,
    CHALLENGE,
    CLIENT,
    HEADER,
    HELLO,
    HELLO_HEAD,
    MAGIC,
    PROOF,
    PROTOCOL,
    SERVER,
    WELCOME,
    ConnectionLost,
    proof,
)
from tests.support.aio import in_time, turns, until
from tests.support.rpc import HOST, SECRET, closed, echo, ended, rpc_server

NONCE = b"n" * 16


def frame(kind: int, head: bytes, number: int = 0) -> bytes:
    return HEADER.pack(len(head), 0, number, kind) + head


def hello(protocol: int = PROTOCOL, magic: bytes = MAGIC) -> bytes:
    return frame(HELLO, HELLO_HEAD.pack(magic, protocol, NONCE))


async def read_frame(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head_size, _, _, kind = HEADER.unpack(await reader.readexactly(HEADER.size))
    return kind, await reader.readexactly(head_size)


async def answer_of(port: int, *sent: bytes) -> bytes:
    """All that a peer is told that sends this."""
    reader, writer = await asyncio.open_connection(HOST, port)
    for data in sent:
        writer.write(data)
    told = b""
    with suppress(ConnectionError):
        while data := await in_time(reader.read(1000)):
            told += data
    await closed(writer)
    return told


async def never(head: bytes, body: bytes) -> tuple[bytes, bytes]:
    raise AssertionError("a stranger's call")


async def test_only_who_knows_the_secret_is_connected() -> None:
    async with rpc_server(never) as (server, port):
        for wrong in (b"", b"s" * 31, b"t" * 32, SECRET + b"s"):
            with pytest.raises(ConnectionLost):
                await connect(HOST, port, wrong)
        await until(lambda: not server.connections)


@pytest.mark.parametrize(
    "sent",
    [
        frame(CALL, b"hi", 1),
        hello(PROTOCOL + 1),
        hello(magic=b"HTTP"),
        frame(HELLO, b"short"),
        frame(PROOF, b""),
        frame(PROOF, bytes(32)),
        frame(WELCOME, b""),
        frame(99, b""),
        HEADER.pack(65, 0, 0, HELLO),
        HEADER.pack(0, 65, 0, HELLO),
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
)
async def test_who_begins_with_anything_but_a_hello_hears_nothing_and_is_not_kept(
    sent: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rpc_server_module, "HANDSHAKE_S", 3600.0)

    async with rpc_server(never) as (server, port):
        assert await answer_of(port, sent) == b""
        await until(lambda: not server.connections)


@pytest.mark.parametrize("then", [hello(), frame(PROOF, bytes(32)), frame(PROOF, b""), frame(CALL, b"hi", 1)])
async def test_who_does_not_prove_the_secret_hears_the_challenge_and_nothing_else(then: bytes) -> None:
    async with rpc_server(never) as (_, port):
        told = await answer_of(port, hello(), then)
        assert HEADER.unpack_from(told)[3] == CHALLENGE
        assert len(told) == HEADER.size + 16 + 32
        assert SECRET not in told


async def test_a_proof_that_was_overheard_or_sent_back_is_worth_nothing() -> None:
    async with rpc_server(never) as (_, port):
        reader, writer = await asyncio.open_connection(HOST, port)
        writer.write(hello())
        kind, challenge = await read_frame(reader)
        nonce, shown = challenge[:16], challenge[16:]
        assert (kind, shown) == (CHALLENGE, proof(SECRET, SERVER, NONCE, nonce))
        overheard = frame(PROOF, proof(SECRET, CLIENT, NONCE, nonce))
        writer.write(overheard)
        assert await read_frame(reader) == (WELCOME, b"")
        await closed(writer)
        # The same on a second connection, whose nonce is another.
        assert len(await answer_of(port, hello(), overheard)) == HEADER.size + 48
        # The server's own proof, sent back to it.
        reader, writer = await asyncio.open_connection(HOST, port)
        writer.write(hello())
        writer.write(frame(PROOF, (await read_frame(reader))[1][16:]))
        with suppress(ConnectionError):
            assert await in_time(reader.read()) == b""
        await closed(writer)


async def test_the_secret_is_in_nothing_that_is_sent() -> None:
    told: list[bytes] = []

    async with rpc_server(echo) as (_, port):

        async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            there_reader, there = await asyncio.open_connection(HOST, port)

            async def pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
                while data := await source.read(10_000):
                    told.append(data)
                    target.write(data)
                target.close()

            await asyncio.gather(pump(reader, there), pump(there_reader, writer))

        between = await asyncio.start_server(relay, HOST, 0)
        one = await connect(HOST, between.sockets[0].getsockname()[1], SECRET)
        assert await one.call(b"a") == (b"a", b"")
        await ended(one)
        between.close()
        await turns()
    everything = b"".join(told)
    assert len(told) >= 4
    assert not any(piece in everything for piece in (SECRET[:8], SECRET.hex()[:16].encode()))


@pytest.mark.parametrize(
    "answers",
    [
        [frame(WELCOME, b"")],
        [frame(CHALLENGE, bytes(48))],
        [frame(CHALLENGE, b"")],
        [frame(CALL, b"hi", 1)],
        [HEADER.pack(2**31, 2**31, 0, CHALLENGE)],
        [b"HTTP/1.1 400 Bad Request\r\n\r\n"],
    ],
)
async def test_who_answers_without_knowing_the_secret_is_not_called(answers: list[bytes]) -> None:
    async def stranger(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        for answer in answers:
            writer.write(answer)
        with suppress(ConnectionError):
            await reader.read()
        await closed(writer)

    server = await asyncio.start_server(stranger, HOST, 0)
    with pytest.raises(ConnectionLost):
        await connect(HOST, server.sockets[0].getsockname()[1], SECRET)
    server.close()
    await turns()


async def test_a_peer_that_is_known_is_not_ended_by_the_time_limit_for_strangers() -> None:
    async with rpc_server(echo) as (server, port):
        one = await connect(HOST, port, SECRET)
        [connection] = server.connections
        assert connection._timeout.cancelled()  # noqa: SLF001
        await ended(one)


@pytest.mark.parametrize("sent", [b"", hello()[:10], hello()])
async def test_a_handshake_that_is_not_finished_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    monkeypatch.setattr(rpc_server_module, "HANDSHAKE_S", 0.02)

    async with rpc_server(never) as (server, port):
        await answer_of(port, sent)
        await until(lambda: not server.connections)


async def test_of_too_many_strangers_the_oldest_goes_and_who_is_known_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rpc_server_module, "MAX_HANDSHAKES", 3)
    # Else those who say nothing go by their time, on a slow machine before this looks.
    monkeypatch.setattr(rpc_server_module, "HANDSHAKE_S", 600.0)

    async with rpc_server(echo) as (server, port):
        known = await connect(HOST, port, SECRET)
        strangers = []
        for count in range(1, 6):
            strangers.append(await asyncio.open_connection(HOST, port))
            await until(lambda count=count: len(server.connections) == 1 + min(count, 3))  # type: ignore[misc]
        for reader, _ in strangers[:2]:
            with suppress(ConnectionError):
                assert await reader.read() == b""
        assert not any(reader.at_eof() for reader, _ in strangers[2:])
        late = await connect(HOST, port, SECRET)
        for one in (known, late):
            assert await one.call(b"a") == (b"a", b"")
            await ended(one)
        for _, writer in strangers:
            await closed(writer)


async def test_a_stranger_is_logged_once(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rpc_server_module, "MAX_LOGGED", 2)

    with caplog.at_level(logging.WARNING, "app.rpc"):
        async with rpc_server(never) as (server, port):
            for sent in (hello(PROTOCOL + 1), frame(CALL, b"hi", 1)):
                await answer_of(port, sent)
            server.log_refused(("10.0.0.2", 1), "was there")
            server.log_refused(("10.0.0.3", 1), "was one too many")
    assert [record.getMessage() for record in caplog.records] == [
        f"a connection from {HOST} was refused: it does not speak protocol {PROTOCOL}",
        "a connection from 10.0.0.2 was refused: it was there",
    ]


async def test_proofs_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[int, int]] = []
    compare = hmac.compare_digest

    def spy(one: bytes, other: bytes) -> bool:
        compared.append((len(one), len(other)))
        return compare(one, other)

    monkeypatch.setattr(hmac, "compare_digest", spy)

    async with rpc_server(echo) as (_, port):
        await ended(await connect(HOST, port, SECRET))
    assert compared == [(32, 32), (32, 32)]
