"""Random bytes at both ends: the worst that comes of them is a closed connection."""

import asyncio
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import InternalError, ServiceError
from app.rpc.connection import RpcConnection
from app.rpc.errors import error_from_head
from app.rpc.frames import (
    ANSWER,
    CALL,
    CHALLENGE,
    CLIENT,
    ERROR,
    HEADER,
    HELLO,
    HELLO_HEAD,
    MAGIC,
    PROOF,
    PROTOCOL,
    REFUSED,
    SERVER,
    WELCOME,
    CallRefused,
    ConnectionLost,
    proof,
)
from app.rpc.server import RpcServer, _ServerConnection
from tests.support.rpc import SECRET, echo

FUZZ = settings(max_examples=150)
NONCE = b"n" * 16

kinds = st.integers(0, 15)
numbers = st.sampled_from([0, 1, 2, 2**64 - 1])
frames = st.builds(
    lambda kind, number, head, body: HEADER.pack(len(head), len(body), number, kind) + head + body,
    kinds,
    numbers,
    st.binary(max_size=80),
    st.binary(max_size=80),
)
sized = st.builds(HEADER.pack, st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), numbers, kinds)
streams = st.lists(frames | sized | st.binary(max_size=40), max_size=12).map(b"".join)
cuts = st.lists(st.integers(1, 50), max_size=20)


class Transport(asyncio.Transport):
    """Keeps what is written; closes as a socket's does."""

    def __init__(self, protocol: Any) -> None:
        super().__init__()
        self.protocol = protocol
        self.written: list[bytes] = []
        self.is_closed = False

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))

    def close(self) -> None:
        self.abort()

    def abort(self) -> None:
        if not self.is_closed:
            self.is_closed = True
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)


def pieces(stream: bytes, sizes: list[int]) -> Iterator[bytes]:
    at = 0
    for size in sizes:
        yield stream[at : at + size]
        at += size
    yield stream[at:]


async def feed(protocol: Any, stream: bytes, sizes: list[int]) -> None:
    for piece in pieces(stream, sizes):
        if not protocol.transport.is_closed and piece:
            protocol.data_received(piece)
            await asyncio.sleep(0)
    for _ in range(5):
        await asyncio.sleep(0)


def fuzz(main: Any) -> None:
    """Runs it; what a task or callback raised is a failure too."""

    async def watched() -> None:
        raised: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: raised.append(context))
        await main()
        assert raised == []

    asyncio.run(watched())


async def server_connection(*, known: bool) -> _ServerConnection:
    connection = _ServerConnection(RpcServer(echo, SECRET))
    transport = Transport(connection)
    connection.connection_made(transport)
    if known:
        connection.frame_received(HELLO, 0, HELLO_HEAD.pack(MAGIC, PROTOCOL, NONCE), b"")
        own = transport.written[0][HEADER.size : HEADER.size + 16]
        connection.frame_received(PROOF, 0, proof(SECRET, CLIENT, NONCE, own), b"")
        assert HEADER.unpack_from(transport.written[1])[3] == WELCOME
        transport.written.clear()
    return connection


async def client_connection(*, known: bool) -> RpcConnection:
    connection = RpcConnection(SECRET)
    transport = Transport(connection)
    connection.connection_made(transport)
    if known:
        nonce = HELLO_HEAD.unpack_from(transport.written[0], HEADER.size)[2]
        connection.frame_received(CHALLENGE, 0, NONCE + proof(SECRET, SERVER, nonce, NONCE), b"")
        connection.frame_received(WELCOME, 0, b"", b"")
        assert connection.welcomed.done()
    return connection


@FUZZ
@given(stream=streams, sizes=cuts, known=st.booleans())
def test_a_server_outlives_whatever_a_peer_sends(stream: bytes, sizes: list[int], known: bool) -> None:
    async def main() -> None:
        connection = await server_connection(known=known)
        await feed(connection, stream, sizes)
        written = b"".join(connection.transport.written)  # type: ignore[attr-defined]
        if not known:
            assert written == b""
        connection.abort()
        await asyncio.sleep(0)
        assert connection._server.connections == set()  # noqa: SLF001

    fuzz(main)


@FUZZ
@given(stream=streams, sizes=cuts, known=st.booleans())
def test_a_caller_outlives_whatever_a_server_sends(stream: bytes, sizes: list[int], known: bool) -> None:
    async def main() -> None:
        connection = await client_connection(known=known)
        calls = [connection.call(b"a"), connection.call(b"b")] if known else []
        await feed(connection, stream, sizes)
        connection.abort()
        await asyncio.sleep(0)
        outcomes = await asyncio.gather(*calls, connection.welcomed, return_exceptions=True)
        allowed = (ConnectionLost, CallRefused, ServiceError)
        assert all(not isinstance(outcome, BaseException) or isinstance(outcome, allowed) for outcome in outcomes)

    fuzz(main)


@FUZZ
@given(cut=st.integers(0, 200), sizes=cuts)
def test_a_frame_is_answered_once_it_is_whole_however_it_is_cut(cut: int, sizes: list[int]) -> None:
    stream = b"".join(HEADER.pack(2, 3, number, CALL) + b"hebod" for number in range(1, 6))

    async def main() -> None:
        connection = await server_connection(known=True)
        await feed(connection, stream[:cut], sizes)
        size = HEADER.size + 5
        answers = b"".join(HEADER.pack(2, 3, n, ANSWER) + b"hebod" for n in range(1, min(5, cut // size) + 1))
        assert b"".join(connection.transport.written) == answers  # type: ignore[attr-defined]
        connection.abort()
        await asyncio.sleep(0)

    fuzz(main)


@pytest.mark.parametrize("kind", [ANSWER, ERROR, REFUSED])
def test_answers_to_calls_that_nobody_made_are_dropped(kind: int) -> None:
    async def main() -> None:
        connection = await client_connection(known=True)
        connection.frame_received(kind, 7, b"{}", b"")
        assert connection.is_open
        connection.abort()
        await asyncio.sleep(0)

    fuzz(main)


json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["code", "message", "x"]), inner),
    max_leaves=8,
)


@FUZZ
@given(head=st.binary(max_size=40) | json.map(orjson.dumps))
def test_an_error_that_can_not_be_read_is_an_error_all_the_same(head: bytes) -> None:
    assert isinstance(error_from_head(head), ServiceError)


def test_an_unknown_code_is_an_internal_error_with_a_constant_text() -> None:
    error = error_from_head(b'{"code": "of_the_future", "message": "private", "param": "x", "retry_after": 3}')
    assert type(error) is InternalError
    assert (error.message, error.param, error.retry_after) == ("A deployment failed unexpectedly.", None, None)
