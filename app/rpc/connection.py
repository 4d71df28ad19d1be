"""The calling end of an RPC connection: many calls at once over one TCP connection.

What gRPC does, without its threads and its interpreter time: a call costs each side some tens of microseconds. The
answering end is `app.rpc.server`. Knows neither Ray nor what the frames mean.
"""

import asyncio
import hmac
import secrets
from itertools import count
from typing import Any, Final

from app.rpc import frames
from app.rpc.errors import error_from_head
from app.rpc.frames import CallRefused, ConnectionLost, Frames, proof

CONNECT_S: Final = 2.0
# After a call was given up so long after it was sent, with nothing from the other end since, the other end is asked
# for a sign of life. A model that is only slow leaves its process's event loop free to answer.
SILENT_S: Final = 5.0
PONG_S: Final = 2.0

Answer = tuple[bytes, bytes]


class RpcConnection(Frames):
    """The calling end. `await connect(...)` makes one."""

    def __init__(self, secret: bytes) -> None:
        # Until the other end has proved itself.
        super().__init__(frames.MAX_HANDSHAKE_BYTES)
        self._secret = secret
        self._nonce = secrets.token_bytes(frames.NONCE_BYTES)
        self._is_proved = False
        self._is_closing = False
        self._numbers = count(1)
        self._loop = asyncio.get_running_loop()
        self._calls: dict[int, asyncio.Future[Answer]] = {}
        self._heard_at = 0.0
        self._doubt: asyncio.TimerHandle | None = None
        self.welcomed: asyncio.Future[None] = self._loop.create_future()

    def __len__(self) -> int:
        """Calls under way."""
        return len(self._calls)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.write(frames.HELLO, 0, frames.HELLO_HEAD.pack(frames.MAGIC, frames.PROTOCOL, self._nonce))

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._doubt is not None:
            self._doubt.cancel()
        lost, self._calls = self._calls, {}
        waiting: list[asyncio.Future[Any]] = [self.welcomed, *lost.values()]
        for future in waiting:
            if not future.done():
                future.set_exception(ConnectionLost("the other end is gone"))

    def call(self, head: bytes, body: bytes = b"") -> "asyncio.Future[Answer]":
        """The answer's head and body. A cancelled future cancels the work at the other end.

        Raises:
            ConnectionLost: There is no connection any more; also set on the future, when it ends later.
            ValueError: The call is larger than a frame may be.

        On the future: CallRefused, or the ServiceError that the other end answered with.
        """
        if not self.is_open or self._is_closing:
            raise ConnectionLost("the other end is gone")
        if len(head) + len(body) > self.max_bytes:
            raise ValueError("the call is larger than a frame may be")
        future: asyncio.Future[Answer] = self._loop.create_future()
        number, sent_at = next(self._numbers), self._loop.time()
        self._calls[number] = future
        future.add_done_callback(lambda done: self._ended(number, sent_at, done))
        self.write(frames.CALL, number, head, body)
        return future

    def close(self) -> None:
        """No new calls; the connection ends with the last that is under way."""
        self._is_closing = True
        if not self._calls:
            self.transport.close()

    def frame_received(self, kind: int, number: int, head: bytes, body: bytes) -> None:
        self._heard_at = self._loop.time()
        if not self.welcomed.done():
            self._shake_hands(kind, head)
            return
        future = self._calls.get(number)
        if future is None or future.done():
            return
        if kind == frames.ANSWER:
            future.set_result((head, body))
        elif kind == frames.ERROR:
            future.set_exception(error_from_head(head))
        elif kind == frames.REFUSED:
            future.set_exception(CallRefused("the other end took no call"))

    def _shake_hands(self, kind: int, head: bytes) -> None:
        nonce, shown = head[: frames.NONCE_BYTES], head[frames.NONCE_BYTES :]
        if kind == frames.WELCOME and self._is_proved:
            self.max_bytes = frames.MAX_BYTES
            self.welcomed.set_result(None)
        elif (
            kind == frames.CHALLENGE
            and not self._is_proved
            and hmac.compare_digest(shown, proof(self._secret, frames.SERVER, self._nonce, nonce))
        ):
            self._is_proved = True
            self.write(frames.PROOF, 0, proof(self._secret, frames.CLIENT, self._nonce, nonce))
        else:
            self.welcomed.set_exception(ConnectionLost("the other end does not know the secret"))
            self.abort()

    def _ended(self, number: int, sent_at: float, future: "asyncio.Future[Answer]") -> None:
        waits = self._calls.pop(number, None) is not None
        if not future.cancelled():
            future.exception()  # seen: whoever gave the call up has nobody to tell
        elif waits:
            self.write(frames.CANCEL, number)
            if self._doubt is None and self._heard_at <= sent_at <= self._loop.time() - SILENT_S:
                self.write(frames.PING, 0)
                self._doubt = self._loop.call_later(PONG_S, self._decide, self._loop.time())
        if self._is_closing and not self._calls:
            self.transport.close()

    def _decide(self, asked_at: float) -> None:
        self._doubt = None
        if self._heard_at < asked_at and self.is_open:
            # Serve's own connection may work where this one does not.
            self.abort()


async def connect(host: str, port: int, secret: bytes) -> RpcConnection:
    """Raises OSError (ConnectionLost is one, TimeoutError too): nobody is there, or nobody who knows the secret."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(CONNECT_S):
        transport, connection = await loop.create_connection(lambda: RpcConnection(secret), host, port)
        try:
            await connection.welcomed
        except BaseException:
            transport.abort()
            raise
    return connection
