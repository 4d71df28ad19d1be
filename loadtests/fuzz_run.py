"""Sending what a fuzzer made, and judging what comes back: raw bytes over keep-alive connections."""

import asyncio
import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from loadtests.fuzz_requests import Sent

ANSWER_S = 60.0
# How long a connection of broken bytes is listened to: what is waited for there may never come.
SILENCE_S = 0.5


class Got(NamedTuple):
    status: int
    head: bytes
    body: bytes


@dataclass
class Report:
    sent: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def fault(self, words: str) -> None:
        self.faults.append(words)

    def __str__(self) -> str:
        counts = ", ".join(f"{status or 'none'}: {n:,}" for status, n in sorted(self.statuses.items()))
        return f"{self.sent:,} in {self.seconds:.0f} s ({counts}); {len(self.faults)} faults"


class Wire:
    """One connection, opened again when the server closed it."""

    def __init__(self, host: str, port: int) -> None:
        self._address = (host, port)
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, raw: bytes, method: str) -> Got | None:
        """The answer; None where the server closed without one, on a fresh connection too."""
        for fresh in (False, True):
            if self._streams is None or fresh:
                await self.close()
                self._streams = await asyncio.open_connection(*self._address, limit=2**24)
            reader, writer = self._streams
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                writer.write(raw)
                got = await asyncio.wait_for(_answer(reader, method), ANSWER_S)
                if b"connection: close" in got.head.lower():
                    await self.close()
                return got
        await self.close()
        return None

    async def close(self) -> None:
        if self._streams is not None:
            _, writer = self._streams
            self._streams = None
            writer.close()
            with suppress(ConnectionError, TimeoutError):
                await asyncio.wait_for(writer.wait_closed(), 5)


async def _answer(reader: asyncio.StreamReader, method: str) -> Got:
    while True:
        head = await reader.readuntil(b"\r\n\r\n")
        status = int(head[9:12])
        if status >= 200:
            break
    length = re.search(rb"\r\ncontent-length: *(\d+)", head, re.IGNORECASE)
    if method == "HEAD" or status in (204, 304):
        return Got(status, head, b"")
    if length:
        return Got(status, head, await reader.readexactly(int(length[1])))
    if b"chunked" in head.lower():
        body = b""
        while size := int(await reader.readline(), 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readline()
        return Got(status, head, body)
    return Got(status, head + b"connection: close", await reader.read())


async def run_requests(
    address: tuple[str, int], document: dict[str, Any], todo: Iterator[Sent], clients: int
) -> Report:
    """Send all; a fault is any 500, an answer of the application's that the document has not, and no answer."""
    report, started = Report(), time.perf_counter()

    async def client() -> None:
        wire = Wire(*address)
        for sent in todo:
            try:
                got = await wire.ask(sent.raw(address[0]), sent.method)
            except (OSError, ValueError, asyncio.LimitOverrunError) as error:
                report.fault(f"{type(error).__name__} after {sent}")
                await wire.close()
                continue
            report.sent += sent.items
            report.statuses[got.status if got else 0] += 1
            if words := _judged(sent, got, document):
                report.fault(words)
        await wire.close()

    await asyncio.gather(*(client() for _ in range(clients)))
    report.seconds = time.perf_counter() - started
    return report


def _judged(sent: Sent, got: Got | None, document: dict[str, Any]) -> str | None:
    if got is None:
        return f"no answer to {sent}"
    methods = document["paths"].get(sent.template or "", {})
    operation = methods.get("get" if sent.method == "HEAD" else sent.method.lower())
    told = {"404", "405", *(operation or {}).get("responses", ())}
    # HAProxy and the server refuse what is no HTTP in their own ways; the application signs what it answers.
    is_ours = operation is not None and b"\r\nx-served-by:" in got.head.lower()
    if got.status == 500 or (str(got.status) not in told and (is_ours or got.status >= 500)):
        return f"{got.status} {got.body[:300]!r} to {sent}"
    return None


async def run_wire(address: tuple[str, int], todo: Iterable[bytes], clients: int) -> Report:
    """Send broken bytes, each on its own connection; behind each, a decent request must get its own answer."""
    report, started = Report(), time.perf_counter()
    numbered = iter(enumerate(todo))

    async def client() -> None:
        wire = Wire(*address)
        for number, data in numbered:
            answers = await _exchange(address, data)
            report.sent += 1
            statuses = [int(status) for status in re.findall(rb"(?:^|\n|})HTTP/1\.[01] (\d{3})", answers)]
            report.statuses.update(statuses or [0])
            if any(status >= 500 and status != 501 and status != 505 for status in statuses):
                report.fault(f"{statuses} {answers[:300]!r} to {data[:300]!r}")
            path = f"/canary-{number}"
            got = await wire.ask(f"GET {path} HTTP/1.1\r\nhost: {address[0]}\r\n\r\n".encode(), "GET")
            if got is None or got.status != 404 or f"no route {path}.".encode() not in got.body:
                report.fault(f"{path} got {got} after {data[:300]!r}")
        await wire.close()

    await asyncio.gather(*(client() for _ in range(clients)))
    report.seconds = time.perf_counter() - started
    return report


async def _exchange(address: tuple[str, int], data: bytes) -> bytes:
    """All that comes back until the server closes or falls silent."""
    reader, writer = await asyncio.open_connection(*address, limit=2**24)
    answers = b""
    with suppress(ConnectionError, TimeoutError):
        writer.write(data)
        while part := await asyncio.wait_for(reader.read(2**16), SILENCE_S):
            answers += part
    writer.transport.abort()
    return answers
