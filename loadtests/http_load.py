"""A load client that costs little: raw HTTP/1.1 over asyncio streams, keep-alive, a closed loop per connection.

A comfortable client (httpx) takes more CPU for a request than the service does, and would measure itself.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes
    seconds: float
    head: bytes = b""


class Connection:
    """One keep-alive connection; requests on it follow one another."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def post(self, path: str, body: bytes, content_type: str = "application/json") -> Answer:
        return await self.send("POST", path, body, content_type)

    async def send(self, method: str, path: str, body: bytes, content_type: str, headers: str = "") -> Answer:
        """`headers`: further lines, each with its CRLF."""
        if self._writer is None or self._reader is None:
            self._reader, self._writer = await asyncio.open_connection(self._host, self._port, limit=2**24)
        started = time.perf_counter()
        head = (
            f"{method} {path} HTTP/1.1\r\nhost: {self._host}\r\n"
            f"content-type: {content_type}\r\ncontent-length: {len(body)}\r\n{headers}\r\n"
        )
        self._writer.write(head.encode() + body)
        answer = await self._reader.readuntil(b"\r\n\r\n")
        lines = answer.split(b"\r\n")
        length = next(int(line[15:]) for line in lines if line[:15].lower() == b"content-length:")
        content = await self._reader.readexactly(length)
        # Said by a proxy that is being replaced, for one: the next request needs a connection of its own.
        if any(line.lower() == b"connection: close" for line in lines):
            self._writer.close()
            self._writer = None
        return Answer(int(lines[0][9:12]), content, time.perf_counter() - started, answer)

    def abort(self) -> None:
        """Drop it at once, whatever is under way."""
        if self._writer is not None:
            self._writer.transport.abort()

    async def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            await self._writer.wait_closed()


async def closed_loop(
    host: str, port: int, path: str, bodies: Sequence[bytes], clients: int, pause_s: float = 0.0
) -> list[Answer]:
    """Send every body, `clients` at a time; answers in the order of `bodies`. A client waits `pause_s` after each."""
    answers: list[Answer | None] = [None] * len(bodies)
    todo = iter(range(len(bodies)))

    async def client() -> None:
        connection = Connection(host, port)
        for index in todo:
            answers[index] = await connection.post(path, bodies[index])
            if pause_s:
                await asyncio.sleep(pause_s)
        await connection.close()

    await asyncio.gather(*(client() for _ in range(clients)))
    return [answer for answer in answers if answer is not None]
