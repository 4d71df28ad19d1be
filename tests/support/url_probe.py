"""Run in a network namespace of its own, where every address there is leads to this process: what leaves it?

The forbidden addresses are tried in every way a URL can name them, with real sockets; every packet is recorded from
the loopback device. Prints one JSON object. `tests/unit/images/test_fetcher_network.py` starts it.
"""

import asyncio
import json
import socket
import struct
import subprocess
import sys
import threading
from ipaddress import IPv6Address, ip_address
from typing import Any

from app.config.args import ImageUrls, Limits
from app.errors import ServiceError
from app.images.fetcher import Budget, Fetcher
from app.images.public_address import Address

PUBLIC = ["93.184.215.14", "2606:4700::1"]
ANY = ["0.0.0.0", "::"]  # noqa: S104 - a network of its own
LAST = 9
TEST_IMAGE = b"an image"


class Packets:
    """Destinations of all TCP packets that anyone on this machine sent to a server's port."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self._read = threading.Semaphore(0)
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
        self._socket.bind(("lo", 3))
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while True:
            data, about = self._socket.recvfrom(65536)
            if about[2] != socket.PACKET_OUTGOING:
                continue
            version = data[0] >> 4
            protocol = data[9] if version == 4 else data[6]
            start = (data[0] & 15) * 4 if version == 4 else 40
            port = struct.unpack_from(">H", data, start + 2)[0]
            if protocol == socket.IPPROTO_TCP and port in (80, 443):
                self.seen.append(str(ip_address(data[16:20] if version == 4 else data[24:40])))
            if protocol == socket.IPPROTO_UDP and port == LAST:
                self._read.release()

    def since(self, count: int) -> list[str]:
        # Packets are read in their order: once this one is, all before it are.
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", ("127.0.0.1", LAST))
        assert self._read.acquire(timeout=10)
        return sorted(set(self.seen[count:]))


class NameServer:
    """Answers A queries with the next address of a list, by real DNS packets."""

    def __init__(self, *answers: str) -> None:
        self.answers = [*answers]
        self.asked = 0
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 53))
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            query, sender = self._socket.recvfrom(512)
            question = query[12 : query.index(b"\0", 12) + 5]
            head = query[:2] + b"\x81\x80\0\1"
            if question[-4:-2] == b"\0\x01":  # A
                address = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
                self.asked += 1
                record = b"\xc0\x0c\0\1\0\1\0\0\0\0\0\4" + ip_address(address).packed
                self._socket.sendto(head + b"\0\1\0\0\0\0" + question + record, sender)
            else:
                self._socket.sendto(head + b"\0\0\0\0\0\0" + question, sender)


async def main(forbidden: list[str]) -> dict[str, Any]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\n" + TEST_IMAGE)
        writer.close()

    servers = [await asyncio.start_server(serve, host, port) for host in ANY for port in (80, 443)]
    packets = Packets()
    assert len(servers) == 4
    found: dict[str, Any] = {"answers": {}}

    async def attempt(name: str, fetcher: Fetcher, url: str) -> None:
        before = len(packets.seen)
        try:
            answer = (await fetcher.fetch(url, budget=Budget(1000), param="images.0")).decode()
        except ServiceError as error:
            answer = f"{error.status} {error.message}"
        found["answers"][name] = [answer, packets.since(before)]

    for text in [*PUBLIC, *forbidden]:
        address = ip_address(text)

        async def resolve(host: str, port: int, address: Address = address) -> list[Address]:
            return [address]

        literal = f"[{text}]" if isinstance(address, IPv6Address) else text
        scoped = isinstance(address, IPv6Address) and address.scope_id is not None
        hosts = ("*",) if scoped else ("*", literal)
        fetcher = Fetcher(ImageUrls(hosts=hosts, schemes=("http", "https"), timeout_s=5), Limits(), resolve=resolve)
        await attempt(f"name of {text}", fetcher, "http://img.example.org/a.png")
        await attempt(f"literal {text}", fetcher, f"http://{literal}/a.png")

    system = Fetcher(ImageUrls(hosts=("*",), schemes=("http",), timeout_s=5), Limits())
    names = NameServer(PUBLIC[0], "127.0.0.1")
    await attempt("rebinding, first", system, "http://rebind.example.org/a.png")
    found["asked for the first"] = names.asked
    await attempt("rebinding, then", system, "http://rebind.example.org/a.png")
    await attempt("localhost", system, "http://localhost/a.png")
    return found


if __name__ == "__main__":
    for everywhere in ("0.0.0.0/0", "::/0"):
        subprocess.run(["ip", "route", "add", "local", everywhere, "dev", "lo"], check=True)
    sys.stdout.write(json.dumps(asyncio.run(main(sys.argv[1:]))))
