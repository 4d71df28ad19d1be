"""A line between two processes: calls and their answers, as bytes, many at once over one TCP connection.

What gRPC does, without its threads and its interpreter time: a call costs each side some tens of microseconds. The
first frame of a connection is a secret; whoever does not know it is not read any further. Knows neither Ray nor what
the bytes mean.
"""

import asyncio
import hmac
import socket
import struct
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from itertools import count
from typing import Any, Final, cast

# Length of the payload, number of the call, kind.
HEADER: Final = struct.Struct("<IQB")
SECRET, WELCOME, CALL, ANSWER, CANCEL, PING, PONG = range(7)
MOST_BYTES: Final = 256 * 2**20
CONNECT_S: Final = 2.0
SECRET_S: Final = 5.0
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

Answer = Callable[[bytes], Awaitable[bytes]]


class LineLost(ConnectionError):
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


class Line(Frames):
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
                future.set_exception(LineLost("the other end is gone"))

    def call(self, payload: bytes) -> "asyncio.Future[bytes]":
        """The answer's bytes. A cancelled future cancels the work at the other end.

        Raises:
            LineLost: There is no connection any more; also set on the future, when it ends later.
        """
        if not self.is_open:
            raise LineLost("the other end is gone")
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


async def connect(host: str, port: int, secret: bytes) -> Line:
    """Raises OSError (LineLost is one, TimeoutError too): nobody is there, or nobody who knows the secret."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(CONNECT_S):
        transport, line = await loop.create_connection(lambda: Line(secret), host, port)
        try:
            await line.welcomed
        except BaseException:
            transport.abort()
            raise
    return line


class _Served(Frames):
    """The answering end of one connection. Its work ends with it."""

    def __init__(self, server: "LineServer") -> None:
        super().__init__(HALF)
        self._server = server
        self._known = False
        self.tasks: dict[int, asyncio.Task[None]] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._patience = asyncio.get_running_loop().call_later(SECRET_S, self.transport.abort)
        self._server.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._patience.cancel()
        self._server.connections.discard(self)
        for task in self.tasks.values():
            task.cancel()

    def arrived(self, kind: int, number: int, payload: bytes) -> None:
        if not self._known:
            if kind != SECRET or not hmac.compare_digest(payload, self._server.secret[:HALF]):
                self.is_open = False
                self.transport.abort()
                return
            self._known = True
            self._patience.cancel()
            self.most_bytes = MOST_BYTES
            self.say(WELCOME, 0, self._server.secret[HALF:])
        elif kind == CALL:
            task = asyncio.get_running_loop().create_task(self._answer(number, payload))
            self.tasks[number] = task
            task.add_done_callback(lambda _: self.tasks.pop(number, None))
        elif kind == PING:
            self.say(PONG, number)
        elif kind == CANCEL and (task_ := self.tasks.get(number)) is not None:
            task_.cancel()

    async def _answer(self, number: int, payload: bytes) -> None:
        self.say(ANSWER, number, await self._server.answer(payload))


class LineServer:
    """Answers calls.

    Args:
        answer: Makes the answer's bytes; whatever goes wrong is said in these. What it raises costs the caller the
            call, not the connection's others: it is never answered.
        secret: Twice HALF bytes.
    """

    def __init__(self, answer: Answer, secret: bytes) -> None:
        self.answer = answer
        self.secret = secret
        self.connections: set[_Served] = set()
        self._server: asyncio.Server | None = None

    async def start(self, host: str) -> int:
        """Returns the port, which the system chooses."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Served(self), host, 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self, grace_s: float = 0.0) -> None:
        """Nobody new; what is under way has `grace_s` seconds, and ends with its connections."""
        if self._server is not None:
            self._server.close()
        tasks = [task for connection in self.connections for task in connection.tasks.values()]
        if tasks and grace_s:
            await asyncio.wait(tasks, timeout=grace_s)
        for connection in [*self.connections]:
            connection.transport.abort()
