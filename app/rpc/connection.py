"""A line between two processes: calls and their answers, as bytes, many at once over one TCP connection.

What gRPC does, without its threads and its interpreter time: a call costs each side some tens of microseconds. The
first frame of a connection is half a secret, and so is the answer to it; whoever does not know it is not read any
further. The answering end is `app.rpc.server`. Knows neither Ray nor what the bytes mean.
"""

import asyncio
import hmac
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from typing import Any, Final, cast

# Length of the payload, number of the call, kind.
HEADER: Final = struct.Struct("<IQB")
SECRET, WELCOME, CALL, ANSWER, CANCEL, PING, PONG = range(7)
MOST_BYTES: Final = 256 * 2**20
CONNECT_S: Final = 2.0
# A call that was given up after so long, with no word from the other end since, puts the line in doubt: who does not
# answer a ping is taken for dead. A model that is only slow leaves its process's event loop free to answer.
SILENT_S: Final = 5.0
PONG_S: Final = 2.0
# The kernel finds an end that is gone without a word.
DEAD_S: Final = 10
# Half of the secret is shown by who calls, and half by who answers.
HALF: Final = 16

# Seconds of silence until the first question, between two, and how many; milliseconds for what was sent. Linux's.
_LIVENESS: Final = [
    (getattr(socket, name), value)
    for name, value in (
        ("TCP_KEEPIDLE", DEAD_S // 2),
        ("TCP_KEEPINTVL", 2),
        ("TCP_KEEPCNT", 3),
        ("TCP_USER_TIMEOUT", DEAD_S * 1000),
    )
    if hasattr(socket, name)
]


class ConnectionLost(ConnectionError):
    """The connection ended with the call on it, or was never there."""


class Frames(asyncio.Protocol):
    """Cuts what arrives into frames, for `arrived`."""

    def __init__(self, most_bytes: int) -> None:
        self.transport: asyncio.Transport
        self.is_open = False
        self.most_bytes = most_bytes
        self._buffer = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by its class
        self.is_open = True
        if (link := transport.get_extra_info("socket")) is not None:
            with suppress(OSError):
                link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option, value in _LIVENESS:
                with suppress(OSError):
                    link.setsockopt(socket.IPPROTO_TCP, option, value)

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_open = False

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        for kind, number, payload in self._cut():
            self.arrived(kind, number, payload)

    def arrived(self, kind: int, number: int, payload: bytes) -> None:
        raise NotImplementedError

    def say(self, kind: int, number: int, payload: bytes = b"") -> None:
        """Nothing where the connection has ended."""
        if self.is_open:
            self.transport.write(HEADER.pack(len(payload), number, kind) + payload)

    def _cut(self) -> Iterator[tuple[int, int, bytes]]:
        buffer, at = self._buffer, 0
        while self.is_open and len(buffer) - at >= HEADER.size:
            size, number, kind = HEADER.unpack_from(buffer, at)
            if size > self.most_bytes:
                self.is_open = False
                self.transport.abort()
                break
            end = at + HEADER.size + size
            if len(buffer) < end:
                break
            payload = bytes(memoryview(buffer)[at + HEADER.size : end])
            at = end
            yield kind, number, payload
        del buffer[:at]


class RpcConnection(Frames):
    """The calling end. `await connect(...)` makes one."""

    def __init__(self, secret: bytes) -> None:
        super().__init__(MOST_BYTES)
        self._secret = secret
        self._numbers = count(1)
        self._loop = asyncio.get_running_loop()
        self._calls: dict[int, asyncio.Future[bytes]] = {}
        self._heard_at = 0.0
        self._doubt: asyncio.TimerHandle | None = None
        self.welcomed: asyncio.Future[None] = self._loop.create_future()

    def __len__(self) -> int:
        """Calls under way."""
        return len(self._calls)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.say(SECRET, 0, self._secret[:HALF])

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._doubt is not None:
            self._doubt.cancel()
        lost, self._calls = self._calls, {}
        waiting: list[asyncio.Future[Any]] = [self.welcomed, *lost.values()]
        for future in waiting:
            if not future.done():
                future.set_exception(ConnectionLost("the other end is gone"))

    def call(self, payload: bytes) -> "asyncio.Future[bytes]":
        """The answer's bytes. A cancelled future cancels the work at the other end.

        Raises:
            ConnectionLost: There is no connection any more; also set on the future, when it ends later.
        """
        if not self.is_open:
            raise ConnectionLost("the other end is gone")
        future: asyncio.Future[bytes] = self._loop.create_future()
        number, sent_at = next(self._numbers), self._loop.time()
        self._calls[number] = future
        future.add_done_callback(lambda done: self._ended(number, sent_at, done))
        self.say(CALL, number, payload)
        return future

    def arrived(self, kind: int, number: int, payload: bytes) -> None:
        self._heard_at = self._loop.time()
        if not self.welcomed.done():
            if kind != WELCOME or not hmac.compare_digest(payload, self._secret[HALF:]):
                self.is_open = False
                self.transport.abort()
                return
            self.welcomed.set_result(None)
        future = self._calls.get(number)
        if kind == ANSWER and future is not None and not future.done():
            future.set_result(payload)

    def _ended(self, number: int, sent_at: float, future: "asyncio.Future[bytes]") -> None:
        waits = self._calls.pop(number, None) is not None
        if not future.cancelled():
            future.exception()  # seen: whoever gave the call up has nobody to tell
        elif waits:
            self.say(CANCEL, number)
            if self._doubt is None and self._heard_at <= sent_at <= self._loop.time() - SILENT_S:
                self.say(PING, 0)
                self._doubt = self._loop.call_later(PONG_S, self._decide, self._loop.time())

    def _decide(self, asked_at: float) -> None:
        self._doubt = None
        if self._heard_at < asked_at and self.is_open:
            # Serve's own way may be open where this one is not.
            self.is_open = False
            self.transport.abort()


async def connect(host: str, port: int, secret: bytes) -> RpcConnection:
    """Raises OSError (ConnectionLost is one, TimeoutError too): nobody is there, or nobody who knows the secret."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(CONNECT_S):
        transport, line = await loop.create_connection(lambda: RpcConnection(secret), host, port)
        try:
            await line.welcomed
        except BaseException:
            transport.abort()
            raise
    return line
