"""Whoever leaves before the answer ends the work for it, and nothing else."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message, Receive, Scope, Send

from app.api.middleware import disconnect
from app.api.middleware.disconnect import Disconnect
from app.api.middleware.request import RequestMiddleware
from app.api.middleware.request_body import Body
from tests.support.aio import in_time, turns, until
from tests.support.calling import NO_METRICS

BODY = (b"content-length", b"4")


class Client:
    """Sends a body of so many parts, and leaves when told to."""

    def __init__(self, *parts: bytes) -> None:
        self.parts = list(parts)
        self.left = asyncio.Event()
        self.sent: list[Message] = []

    async def receive(self) -> Message:
        if self.parts:
            part = self.parts.pop(0)
            return {"type": "http.request", "body": part, "more_body": bool(self.parts)}
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        self.sent.append(message)


def scope_of(*headers: tuple[bytes, bytes], **state: Any) -> Scope:
    return {
        "type": "http",
        "method": "POST",
        "path": "/x",
        "headers": list(headers),
        "state": {"bypass": True} | state,
    }


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disconnect, "WATCH_AFTER_S", 0.0)


class Works:
    """An application that reads its body and then works until told to stop."""

    def __init__(self) -> None:
        self.body: bytes | None = None
        self.ended: str | None = None
        self.go = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            self.body = await Request(scope, receive).body()
            await self.go.wait()
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"done"})
            self.ended = "answered"
        except asyncio.CancelledError:
            self.ended = "cancelled"
            raise


def begun(works: Works, scope: Scope, client: Client) -> asyncio.Task[None]:
    app = RequestMiddleware(works, "r", NO_METRICS, names_answers=False)
    return asyncio.get_running_loop().create_task(app(scope, client.receive, client.send))


@pytest.mark.parametrize("parts", [(), (b"a",), (b"a", b"b")], ids=len)
async def test_disconnect_cancels_the_request(parts: tuple[bytes, ...]) -> None:
    client, works, tasks = Client(*parts), Works(), asyncio.all_tasks()
    scope = scope_of(*([BODY] if parts else []))
    task = begun(works, scope, client)
    await until(lambda: works.body is not None)
    await turns()
    assert not task.done()
    client.left.set()
    await in_time(task)  # no error: the server would log one
    assert (works.body, works.ended, client.sent) == (b"".join(parts), "cancelled", [])
    assert (scope["state"]["status"], asyncio.all_tasks()) == (499, tasks)


@pytest.mark.parametrize("watched_after_s", [0.0, 60.0])
async def test_connected_client_gets_its_response(monkeypatch: pytest.MonkeyPatch, watched_after_s: float) -> None:
    monkeypatch.setattr(disconnect, "WATCH_AFTER_S", watched_after_s)

    client, works, tasks = Client(b"a"), Works(), asyncio.all_tasks()
    scope = scope_of(BODY)
    task = begun(works, scope, client)
    await until(lambda: works.body is not None)
    await turns()
    works.go.set()
    await task
    assert (works.ended, client.sent[-1]["body"], scope["state"]["status"]) == ("answered", b"done", 200)
    await turns()
    assert asyncio.all_tasks() == tasks


async def test_requests_through_serve_are_not_watched() -> None:
    client, works = Client(b"a"), Works()
    scope = scope_of(BODY)
    del scope["state"]["bypass"]
    task = begun(works, scope, client)
    await until(lambda: works.body is not None)
    client.left.set()
    await turns()
    assert not task.done()
    works.go.set()
    await task


async def test_a_body_without_bytes_is_read_once_whoever_watches() -> None:
    client = Client()
    body = Body(scope_of(), client.receive)
    assert await body.receive() == {"type": "http.request", "body": b"", "more_body": False}
    client.left.set()
    assert await body.receive() == {"type": "http.disconnect"}


def _cancel_from_outside(task: "asyncio.Task[Any]", client: Client) -> None:
    task.cancel()


def _leave_and_cancel(task: "asyncio.Task[Any]", client: Client) -> None:
    client.left.set()
    task.cancel()


@pytest.mark.parametrize("end", [_cancel_from_outside, _leave_and_cancel])
async def test_a_cancellation_from_elsewhere_stays_one(end: Callable[["asyncio.Task[Any]", Client], None]) -> None:
    client, works = Client(b"a"), Works()
    task = begun(works, scope_of(BODY), client)
    await until(lambda: works.body is not None)
    await turns()
    end(task, client)
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_leaving_raises_what_the_application_knows_already() -> None:
    client = Client()
    client.left.set()
    with pytest.raises(ClientDisconnect), Disconnect(Body(scope_of(), client.receive), client.receive):
        await asyncio.Event().wait()
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
