"""The answering end of lines (`app.rpc.connection`): who may call, and what is under way for whom."""

import asyncio
import hmac
from collections.abc import Awaitable, Callable
from typing import Final

from app.rpc.connection import ANSWER, CALL, CANCEL, HALF, MOST_BYTES, PING, PONG, SECRET, WELCOME, Frames

SECRET_S: Final = 5.0

Answer = Callable[[bytes], Awaitable[bytes]]


class _ServerConnection(Frames):
    """The answering end of one connection. Its work ends with it."""

    def __init__(self, server: "RpcServer") -> None:
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


class RpcServer:
    """Answers calls.

    Args:
        answer: Makes the answer's bytes; whatever goes wrong is said in these. What it raises costs the caller the
            call, not the connection's others: it is never answered.
        secret: Twice HALF bytes.
    """

    def __init__(self, answer: Answer, secret: bytes) -> None:
        self.answer = answer
        self.secret = secret
        self.connections: set[_ServerConnection] = set()
        self._server: asyncio.Server | None = None

    async def start(self, host: str) -> int:
        """Returns the port, which the system chooses."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _ServerConnection(self), host, 0)
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
