import asyncio

import pytest
from starlette.types import Message, Receive, Scope, Send

from app.api.middleware import request_body
from app.api.middleware.request import RequestMiddleware
from app.api.middleware.request_body import Body
from app.errors import Unauthorized
from tests.support.aio import run
from tests.support.calling import NO_METRICS

MIB = 2**20


class Client:
    """Sends `parts` of 1 MiB when asked for them, and notes in which order things happen."""

    def __init__(self, parts: int, ends: bool = True) -> None:
        self.left = parts
        self.ends = ends
        self.events: list[str] = []
        self.headers: list[tuple[bytes, bytes]] = []

    async def receive(self) -> Message:
        if self.left == 0:
            if not self.ends:
                await asyncio.get_running_loop().create_future()  # it sends no more, and does not hang up
            return {"type": "http.disconnect"}
        self.left -= 1
        self.events.append("part")
        return {"type": "http.request", "body": bytes(MIB), "more_body": self.left > 0 or not self.ends}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.headers = message["headers"]
            self.events.append(f"status {message['status']}")
        else:
            self.events.append("more" if message.get("more_body") else "end")


async def refuses(scope: Scope, receive: Receive, send: Send) -> None:
    raise Unauthorized("no key")


def head(*headers: tuple[bytes, bytes]) -> Scope:
    return {"type": "http", "method": "POST", "path": "/x", "headers": list(headers)}


def refuse(client: Client, *headers: tuple[bytes, bytes]) -> list[str]:
    async def main() -> None:
        app = RequestMiddleware(refuses, "r", NO_METRICS, names_answers=True)
        await app(head(*headers), client.receive, client.send)

    run(main())
    return client.events


def test_the_answer_is_out_before_the_body_is_taken_in() -> None:
    client = Client(3)
    assert refuse(client, (b"content-length", b"3145728")) == ["status 401", "more", "part", "part", "part", "end"]
    assert (b"connection", b"close") in client.headers


def test_without_a_body_nothing_is_waited_for() -> None:
    for headers in ([], [(b"content-length", b"0")]):
        client = Client(0, ends=False)
        assert refuse(client, *headers) == ["status 401", "end"]
        assert (b"connection", b"close") not in client.headers


def test_no_more_than_64_mib_are_taken_in() -> None:
    assert request_body.MAX_BYTES == 64 * MIB
    assert refuse(Client(1000), (b"transfer-encoding", b"chunked")).count("part") == 65


async def test_a_client_that_stalls_is_not_waited_for() -> None:
    assert request_body.MAX_SECONDS == 5
    client = Client(2, ends=False)
    body = Body(head((b"content-length", b"9")), client.receive)
    await body.drain(max_seconds=0.01)
    assert (client.events, body.is_read) == (["part", "part"], False)


async def test_a_body_that_was_read_is_not_waited_for() -> None:
    async def reads(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive())["more_body"]:
            pass
        raise Unauthorized("no")

    async def main() -> list[str]:
        client = Client(2)
        app = RequestMiddleware(reads, "r", NO_METRICS, names_answers=True)
        await app(head((b"content-length", b"2097152")), client.receive, client.send)
        assert (b"connection", b"close") not in client.headers
        return client.events

    assert await main() == ["part", "part", "status 401", "end"]


async def test_a_body_that_stalls_while_it_is_read_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_body, "MAX_SILENCE_S", 0.01)

    async def reads(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive()).get("more_body"):
            pass

    client = Client(2, ends=False)
    monkeypatch.setattr(request_body.Body.drain, "__defaults__", (request_body.MAX_BYTES, 0.01))
    scope = {"type": "http", "method": "POST", "path": "/x", "headers": [(b"transfer-encoding", b"chunked")]}
    await RequestMiddleware(reads, "here", NO_METRICS, names_answers=False)(scope, client.receive, client.send)
    assert client.events == ["part", "part", "status 400", "more", "end"]
    assert (b"connection", b"close") in client.headers
