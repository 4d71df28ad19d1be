"""The answering end of RPC connections (`app.rpc.connection`): who may call, and what is under way for whom."""

import asyncio
import hmac
import logging
import secrets
from collections.abc import Awaitable, Callable
from typing import Final

from app.errors import ServiceError
from app.rpc import frames
from app.rpc.errors import error_head
from app.rpc.frames import CallRefused, Frames, proof

logger = logging.getLogger(__name__)

HANDSHAKE_S: Final = 5.0
# Connections that have not proved themselves; beyond that the oldest goes, so that strangers keep nobody out for long.
MAX_HANDSHAKES: Final = 64
# Strangers by address, of whom the log is told.
MAX_LOGGED: Final = 256

Answer = Callable[[bytes, bytes], Awaitable[tuple[bytes, bytes]]]


class _ServerConnection(Frames):
    """The answering end of one connection. Its work ends with it."""

    def __init__(self, server: "RpcServer") -> None:
        super().__init__(frames.MAX_HANDSHAKE_BYTES)
        self._server = server
        self._is_known = False
        self._expected = b""
        self.tasks: dict[int, asyncio.Task[None]] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._timeout = asyncio.get_running_loop().call_later(HANDSHAKE_S, self.refuse, "did not finish its hello")
        self._server.connected(self)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._timeout.cancel()
        self._server.disconnected(self)
        for task in self.tasks.values():
            task.cancel()

    def refuse(self, reason: str) -> None:
        self._server.log_refused(self.transport.get_extra_info("peername"), reason)
        self.abort()

    def frame_received(self, kind: int, number: int, head: bytes, body: bytes) -> None:
        if not self._is_known:
            self._shake_hands(kind, head)
        elif kind == frames.CALL:
            if number in self.tasks:
                self.refuse("used the number of a call that is under way")
                return
            task = asyncio.get_running_loop().create_task(self._answer(number, head, body))
            self.tasks[number] = task
            task.add_done_callback(lambda _: self.tasks.pop(number, None))
        elif kind == frames.PING:
            self.write(frames.PONG, number)
        elif kind == frames.CANCEL and (task_ := self.tasks.get(number)) is not None:
            task_.cancel()

    def _shake_hands(self, kind: int, head: bytes) -> None:
        if kind == frames.HELLO and not self._expected and len(head) == frames.HELLO_HEAD.size:
            magic, protocol, nonce = frames.HELLO_HEAD.unpack(head)
            if (magic, protocol) != (frames.MAGIC, frames.PROTOCOL):
                self.refuse(f"does not speak protocol {frames.PROTOCOL}")
                return
            own, secret = secrets.token_bytes(frames.NONCE_BYTES), self._server.secret
            self._expected = proof(secret, frames.CLIENT, nonce, own)
            self.write(frames.CHALLENGE, 0, own + proof(secret, frames.SERVER, nonce, own))
        elif kind == frames.PROOF and self._expected and hmac.compare_digest(head, self._expected):
            self._is_known = True
            self._timeout.cancel()
            self._server.authenticated(self)
            self.max_bytes = frames.MAX_BYTES
            self.write(frames.WELCOME, 0)
        else:
            self.refuse("does not know the secret")

    async def _answer(self, number: int, head: bytes, body: bytes) -> None:
        try:
            if self._server.is_closing:
                raise CallRefused
            answer = await self._server.answer(head, body)
        except CallRefused:
            self.write(frames.REFUSED, number)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise  # the caller gave it up
            self._answer_error(number, error)
        except Exception as error:  # noqa: BLE001 - the caller's to see
            self._answer_error(number, error)
        else:
            self.write(frames.ANSWER, number, *answer)

    def _answer_error(self, number: int, error: BaseException) -> None:
        if not isinstance(error, ServiceError):
            logger.error("a call failed", exc_info=error)
        self.write(frames.ERROR, number, error_head(error))


class RpcServer:
    """Answers calls of whoever shows that he knows the secret. `answer` makes the answer's head and body: what it
    raises is answered by its code; CallRefused sends the caller elsewhere."""

    def __init__(self, answer: Answer, secret: bytes) -> None:
        self.answer = answer
        self.secret = secret
        self.is_closing = False
        self.connections: set[_ServerConnection] = set()
        self._handshakes: dict[_ServerConnection, None] = {}  # the oldest first
        self._logged: set[str] = set()
        self._server: asyncio.Server | None = None

    async def start(self, host: str) -> int:
        """Returns the port, which the system chooses."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _ServerConnection(self), host, 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self, grace_s: float = 0.0) -> None:
        """No new calls; those under way have `grace_s` seconds, and end with their connections."""
        self.is_closing = True
        if self._server is not None:
            self._server.close()
        tasks = [task for connection in self.connections for task in connection.tasks.values()]
        if tasks and grace_s:
            await asyncio.wait(tasks, timeout=grace_s)
        for connection in [*self.connections]:
            connection.abort()

    def connected(self, connection: _ServerConnection) -> None:
        self.connections.add(connection)
        self._handshakes[connection] = None
        if len(self._handshakes) > MAX_HANDSHAKES:
            oldest = next(iter(self._handshakes))
            self.authenticated(oldest)  # it waits no longer
            oldest.refuse("was one of too many that had not finished their hello")

    def authenticated(self, connection: _ServerConnection) -> None:
        self._handshakes.pop(connection, None)

    def disconnected(self, connection: _ServerConnection) -> None:
        self.connections.discard(connection)
        self._handshakes.pop(connection, None)

    def log_refused(self, peer: object, reason: str) -> None:
        """Once per address: a stranger must not fill the log."""
        address = str(peer[0]) if isinstance(peer, tuple) else str(peer)
        if address not in self._logged and len(self._logged) < MAX_LOGGED:
            self._logged.add(address)
            logger.warning("a connection from %s was refused: it %s", address, reason)
