"""`app.api.middleware.request` around applications that fail in the middle of an answer."""

import asyncio
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from app.api.middleware.request import RequestMiddleware
from app.errors import InvalidRequest
from tests.support.calling import NO_METRICS


def scope_of(kind: str = "http", *headers: tuple[bytes, bytes]) -> Scope:
    return {"type": kind, "method": "GET", "path": "/x", "headers": list(headers)}


async def receive() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


@pytest.mark.parametrize("fault", [RuntimeError("half way"), InvalidRequest("half way")])
async def test_an_answer_that_has_begun_is_not_begun_again(fault: Exception) -> None:
    sent: list[Message] = []

    async def fails_half_way(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise fault

    async def send(message: Message) -> None:
        sent.append(message)

    app = RequestMiddleware(fails_half_way, "r", NO_METRICS, names_answers=True)
    with pytest.raises(type(fault)) as raised:  # the server closes the connection, so the client knows
        await app(scope_of("http", (b"x-request-id", b"7")), receive, send)
    assert raised.value is fault
    assert [message["type"] for message in sent] == ["http.response.start"]
    named = [value for name, value in sent[0]["headers"] if name == b"x-request-id"]
    assert named == [b"7"]


async def test_a_cancelled_request_stays_cancelled() -> None:
    async def cancelled(scope: Scope, receive: Receive, send: Send) -> None:
        raise asyncio.CancelledError

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    with pytest.raises(asyncio.CancelledError):
        await RequestMiddleware(cancelled, "r", NO_METRICS, names_answers=True)(scope_of(), receive, send)
    assert sent == []


async def test_what_is_not_http_passes_untouched() -> None:
    seen: list[Any] = []

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append((scope, receive, send))

    async def send(message: Message) -> None:
        raise AssertionError

    scope = {"type": "lifespan"}
    await RequestMiddleware(inner, "r", NO_METRICS, names_answers=True)(scope, receive, send)
    assert seen == [(scope, receive, send)]
    assert scope == {"type": "lifespan"}
