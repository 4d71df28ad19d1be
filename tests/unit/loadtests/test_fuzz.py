"""What `make fuzz` takes for a fault, and what it makes; what a service answers is the long run's to find out."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from app.api.routes import ROUTES
from loadtests import fuzz_hypothesis, fuzz_images, fuzz_requests, fuzz_wire
from loadtests.fuzz_requests import Sent
from loadtests.fuzz_run import Report, run_requests, run_wire
from loadtests.fuzz_table import Row, table
from loadtests.fuzz_watch import Life, deaths
from tests.support.calling import Service

OURS = b"x-served-by: r\r\n"


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    made: dict[str, Any] = Service().get("/openapi.json").json()
    return made


def answering(head: bytes, sent: list[Sent], document: dict[str, Any], body: bytes = b"{}") -> Report:
    """`sent` to a server that answers everything alike; with nothing where `head` is empty."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if head:
            writer.write(b"HTTP/1.1 %bcontent-length: %d\r\nconnection: close\r\n\r\n%b" % (head, len(body), body))
        writer.close()

    async def main() -> Report:
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            address = server.sockets[0].getsockname()
            return await run_requests(address, document, iter(sent), 2)

    return asyncio.run(main())


@pytest.mark.parametrize(
    ("head", "is_fault"),
    [
        (b"200 OK\r\n" + OURS, False),
        (b"400 Bad Request\r\n" + OURS, False),
        (b"404 Not Found\r\n" + OURS, False),
        (b"503 Unavailable\r\n" + OURS, False),  # documented
        (b"431 Too Large\r\n", False),  # HAProxy's or the server's
        (b"206 Partial Content\r\n" + OURS, True),
        (b"500 Internal Server Error\r\n" + OURS, True),  # documented, and a fault
        (b"500 Internal Server Error\r\n", True),
        (b"502 Bad Gateway\r\n", True),
        (b"", True),
    ],
)
def test_what_is_a_fault(head: bytes, is_fault: bool, document: dict[str, Any]) -> None:
    sent = [Sent("POST", "/embed/text", "/embed/text", (), b"{}")] * 3
    report = answering(head, sent, document)
    assert (report.sent, len(report.faults)) == (3, 3 if is_fault else 0)
    assert sum(report.statuses.values()) == 3


async def test_no_server_is_a_fault_of_each_request(document: dict[str, Any]) -> None:
    sent = [Sent("GET", "/livez", "/livez", (), b"")] * 2
    report = await run_requests(("127.0.0.1", 1), document, iter(sent), 1)
    assert (report.sent, len(report.faults)) == (0, 2)


async def test_an_answer_to_anothers_request_is_a_fault() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readline():
            body = b'{"error": {"message": "There is no /smuggled here."}}'
            writer.write(b"HTTP/1.1 404 Not Found\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
            writer.close()
            return

    async def main() -> Report:
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            return await run_wire(server.sockets[0].getsockname(), [b"GET / HTTP/1.1\r\n\r\n"], 1)

    assert len((await main()).faults) == 1


def test_too_few_are_a_fault_and_the_table_counts_them() -> None:
    good = Row("HAProxy", "requests", 3, Report(3, Counter({200: 1, 404: 1, 304: 1}), seconds=1.2))
    short = Row("replica", "images", 32, Report(16, Counter({200: 1, 0: 1, 503: 1}), ["no answer"], 2.0))
    assert good.faults == []
    assert short.faults == ["replica, images: only 16 of 32 images were sent", "replica, images: no answer"]
    lines = [line.split() for line in table([good, short]).splitlines()]
    assert lines[1:] == [
        ["HAProxy", "requests", "3", "3", "1", "1", "0", "1", "1", "0"],
        ["replica", "images", "32", "16", "1", "0", "1", "1", "2", "2"],
        ["all", "35", "19", "2", "1", "1", "2", "3", "2"],
    ]


def test_a_process_in_the_place_of_another_is_a_death() -> None:
    before = {Life(1, 10.0, "raylet"), Life(2, 11.0, "haproxy"), Life(3, 12.0, "python")}
    renamed = {Life(1, 10.0, "ray::x"), *sorted(before)[1:], Life(4, 13.0, "new")}
    assert deaths(before, renamed) == []
    assert deaths(before, {Life(1, 99.0, "raylet"), *sorted(before)[1:2]}) == ["raylet (1) died", "python (3) died"]


def made(document: dict[str, Any], seed: int) -> list[list[Any]]:
    sources: list[Iterator[Any]] = [
        fuzz_requests.requests(document, 300, seed),
        fuzz_hypothesis.requests(document, 50, seed),
        fuzz_images.requests(40, seed),
        fuzz_wire.broken(300, seed),
    ]
    return [list(source) for source in sources]


def test_sources_make_as_many_as_asked_for_the_same_for_a_seed(document: dict[str, Any]) -> None:
    first = made(document, 1)
    assert [len(part) for part in first] == [300, 50, 3, 300]
    assert sum(sent.items for sent in first[2]) == 40
    assert made(document, 1) == first
    assert all(mine != other for mine, other in zip(made(document, 2), first, strict=True))


def test_hypothesis_reaches_every_route_and_says_what_heads_can_hold(document: dict[str, Any]) -> None:
    sent = list(fuzz_hypothesis.requests(document, 1500, 2))
    assert {one.template for one in sent} == {route.template for route in ROUTES}
    for one in sent:
        assert one.raw("h").count(b"\r\n\r\n") >= 1
        assert not any("\r" in line or "\n" in line for line in (one.path, *one.headers))
    assert any(b"NaN" in one.body for one in sent)
    assert any("\xff" >= max(line, default="") > "\x7f" for one in sent for line in one.headers)
