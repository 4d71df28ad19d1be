"""Sending one request and having its answer judged: bare, or through the client library with its retries."""

import asyncio
import time
from collections.abc import Callable, Sequence

from app.client import AsyncEmbeddingClient
from app.errors import ServiceError
from loadtests.faults.judging import Judged, compare, judge
from loadtests.faults.oracle import Asked, Book
from loadtests.http_load import Answer, Connection
from loadtests.workloads import body

# Beyond the service's own deadline of 30 s: no answer until then is a hang.
PATIENCE_S = 45.0
# A kept connection that nobody used for longer may be closed by the other side at any moment.
KEPT_S = 2.0

# The request of this number.
Pick = Callable[[int], Asked]


class Bare:
    """One attempt on a connection of its own: no failure can be laid to a connection that an earlier fault broke.

    Args:
        keep: Where nothing breaks connections: requests take over those that have just become free.
    """

    def __init__(self, ports: Sequence[int], book: Book, pick: Pick, keep: bool = False) -> None:
        self._ports = ports
        self._book = book
        self._pick = pick
        self._kept = Kept()
        self._send = self._kept if keep else send_once

    async def let_go(self) -> None:
        """Of the connections that were kept, before their event loop ends."""
        await self._kept.let_go()

    async def __call__(self, number: int) -> Judged:
        asked = self._pick(number)
        content = body(texts=asked.texts)
        try:
            async with asyncio.timeout(PATIENCE_S):
                answer = await self._send(self._ports[number % len(self._ports)], "/embed/text", content)
        except TimeoutError:
            return Judged("failed", 0, f"no answer in {PATIENCE_S:g} s")
        except (ConnectionError, EOFError, RuntimeError) as error:
            return Judged("failed", 0, f"lost: {error!r}")
        return judge(answer, asked.indices, self._book)


class WithRetries:
    """The client library, as a user has it."""

    def __init__(self, client: AsyncEmbeddingClient, book: Book, pick: Pick) -> None:
        self._client = client
        self._book = book
        self._pick = pick

    async def __call__(self, number: int) -> Judged:
        asked = self._pick(number)
        try:
            rows = await self._client.embed_texts(asked.texts)
        except ServiceError as error:
            return Judged("failed", error.status, str(error)[:300])
        words = compare(rows, asked.indices, self._book)
        return Judged("wrong", 200, words) if words else Judged("good", 200)


class Kept:
    """Requests on connections that stay open until they are let go, all of one event loop."""

    def __init__(self) -> None:
        self._free: dict[int, list[tuple[float, Connection]]] = {}

    async def let_go(self) -> None:
        for free in self._free.values():
            for _, connection in free:
                await connection.close()
        self._free.clear()

    async def __call__(self, port: int, path: str, content: bytes) -> Answer:
        """As `send_once`."""
        free = self._free.setdefault(port, [])
        while free and time.monotonic() - free[0][0] > KEPT_S:
            free.pop(0)[1].abort()
        connection = free.pop()[1] if free else Connection("127.0.0.1", port)
        try:
            answer = await connection.post(path, content)
        except BaseException:
            connection.abort()
            raise
        free.append((time.monotonic(), connection))
        return answer


async def send_once(port: int, path: str, content: bytes, method: str = "POST") -> Answer:
    """One request on a new connection.

    Raises:
        ConnectionError, EOFError: It broke, or could not be made.
        RuntimeError: What came back was no whole answer.
    """
    connection = Connection("127.0.0.1", port)
    try:
        return await connection.send(method, path, content, "application/json", "connection: close\r\n")
    finally:
        connection.abort()
