"""An internet for tests: names that resolve as told, and servers on this machine that stand at public addresses."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

import httpcore

from app.config.args import ImageUrls, Limits
from app.images.fetcher import Budget, Fetcher
from app.images.public_address import Address
from tests.support.aio import turns

FORBIDDEN = """
0.0.0.0 0.1.2.3 10.0.0.0 10.255.255.255 100.64.0.1 100.100.100.200 100.127.255.255 127.0.0.1 127.0.0.53
127.255.255.255 168.63.129.16 169.254.0.1 169.254.169.254 169.254.170.2 169.254.169.123 172.16.0.1 172.31.255.255
192.0.0.1 192.0.0.192 192.0.2.1 192.31.196.1 192.52.193.1 192.88.99.1 192.168.0.1 192.168.255.255 192.175.48.1
198.18.0.1 198.19.255.255 198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.254 255.255.255.255
:: ::1 ::2 ::127.0.0.1 ::8.8.8.8 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 ::ffff:8.8.8.8
::ffff:0:8.8.8.8 64:ff9b::127.0.0.1 64:ff9b::7f00:1 64:ff9b::808:808 64:ff9b:1::a00:1 100::1 100:0:0:1::1
2001::1 2001:0:7f00:1::1 2001:0:4136:e378:8000:63bf:3fff:fdd2 2001:2::1 2001:10::1 2001:20::1 2001:1ff:ffff::1
2001:db8::1 2002:7f00:1::1 2002:a00:1::1 2002:808:808::1 2620:4f:8000::1 3ffe::1 3fff::1 3fff:fff:ffff::1
2600:1f00::5efe:7f00:1 2600:1f00::200:5efe:a00:1 4000::1 5f00::1 8000::1 e000::1
fc00::1 fd00:ec2::254 fd00:ec2::23 fd20:ce::254 fdff:ffff::1 fe00::1 fe80::1 fe80::a9fe:a9fe febf::1 fec0::1 ff00::1
ff02::1 ff05::2 ffff::1 fe80::1%eth0 2606:4700::1%lo 1fff:ffff::1
"""

HERE = "93.184.215.14"
Answer = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Internet:
    """`names`: what each look-up of a name answers, in turn; the last one stays."""

    names: dict[str, list[list[str]]] = field(default_factory=dict)
    servers: dict[str, int] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    connected: list[tuple[str, int]] = field(default_factory=list)
    requests: list[bytes] = field(default_factory=list)

    async def resolve(self, host: str, port: int) -> Sequence[Address]:
        self.asked.append(host)
        if host not in self.names:
            raise OSError("Name or service not known")
        answers = self.names[host]
        return [ip_address(a) for a in (answers.pop(0) if len(answers) > 1 else answers[0])]

    def fetcher(self, *, limits: Limits | None = None, **allowed: Any) -> Fetcher:
        urls = ImageUrls.model_validate({"hosts": ("*", HERE), "schemes": ("http", "https")} | allowed)
        return Fetcher(urls, limits or Limits(), self.resolve, _Wires(self))

    async def fetch(self, url: str, *, budget: int = 2**30, **options: Any) -> bytes:
        return await self.fetcher(**options).fetch(url, budget=Budget(budget), param="images.3")

    @asynccontextmanager
    async def serving(self, answer: "bytes | Answer", address: str = HERE) -> AsyncIterator[None]:
        """A server at `address`, on every port, that answers all requests so."""

        tasks: set[asyncio.Task[Any]] = set()

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            tasks.add(task)
            try:
                head = await reader.readuntil(b"\r\n\r\n")
                self.requests.append(head)
                if isinstance(answer, bytes):
                    writer.write(answer)
                else:
                    await answer(head, writer)
                writer.close()
                await writer.wait_closed()
            except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                pass
            finally:
                writer.transport.abort()

        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        self.servers[address] = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            server.close()
            for task in tasks:
                task.cancel()
            await turns()  # both ends of every connection close


class _Wires(httpcore.AnyIOBackend):
    def __init__(self, internet: Internet) -> None:
        super().__init__()
        self._internet = internet

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's signature
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        self._internet.connected.append((host, port))
        if host not in self._internet.servers:
            raise httpcore.ConnectError("No route to host")
        return await super().connect_tcp("127.0.0.1", self._internet.servers[host], timeout)


def ok(body: bytes, *headers: str) -> bytes:
    lines = "".join(f"{header}\r\n" for header in headers)
    return f"HTTP/1.1 200 OK\r\ncontent-length: {len(body)}\r\n{lines}\r\n".encode() + body


def moved(location: str, status: int = 302) -> bytes:
    return f"HTTP/1.1 {status} Moved\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n".encode()
