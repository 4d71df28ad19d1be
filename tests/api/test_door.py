"""What is shed at the door is answered as any other refusal is, and never gets further."""

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from app.api.routes import ROUTES
from app.errors import Overloaded
from app.shedding import NEEDS, Shedder
from deployments.client_headers import middlewares
from deployments.door import Door
from tests.aio import Clock
from tests.api.calling import Service, error_of
from tests.api.keys import ONE, bearer, guard_of
from tests.service_fakes import FakeEncoder

FULL = Overloaded("small-model has 5.0 s of work waiting.", retry_after=5)


class Inside:
    """Serve, and all that is behind it."""

    def __init__(self) -> None:
        self.paths: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.paths.append(scope["path"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"inside"})


@pytest.fixture
def encoder() -> Iterator[FakeEncoder]:
    yield FakeEncoder()
    Door.answers = Door.keeper = None


def asked(inside: Inside, *requests: dict[str, Any]) -> list[httpx.Response]:
    """Through the middlewares that Serve puts before itself."""
    app: Any = inside
    for cls, args, kwargs in middlewares():
        app = cls(app, *args, **kwargs)

    async def call() -> list[httpx.Response]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client:
            return [await client.request(**request) for request in requests]

    return asyncio.run(call())


def keep(service: Service) -> None:
    """A door that lets nobody look."""
    Door.answers = service._app  # noqa: SLF001 - as `Service` does
    clock = Clock()
    Door.keeper = Shedder(service.embeddings.refusal, clock)
    Door.keeper._looks, Door.keeper._at = 0.0, clock.now  # noqa: SLF001 - all were used just now


def text(**options: Any) -> dict[str, Any]:
    return {"method": "POST", "url": "/embed/text", "json": {"texts": ["a"]}} | options


def test_a_full_model_refuses_at_the_door(encoder: FakeEncoder) -> None:
    service, inside = Service(encoder, names_answers=False), Inside()
    keep(service)
    encoder.overload = FULL
    [shed, health] = asked(inside, text(headers={"x-request-id": "mine-1"}), {"method": "GET", "url": "/health"})
    assert (shed.status_code, shed.headers["retry-after"], shed.headers["x-request-id"]) == (429, "5", "mine-1")
    error = error_of(shed)
    assert (error["code"], error["message"], error["requestId"]) == ("overloaded", FULL.message, "mine-1")
    assert "connection" not in shed.headers
    assert (encoder.calls, inside.paths, health.text) == ([], ["/health"], "inside")
    [counted] = [line for line in service.get("/metrics").text.splitlines() if 'status="429"' in line]
    assert counted.startswith("embedding_requests_total{")
    assert counted.endswith(" 1.0")


def test_while_a_model_takes_more_all_go_inside(encoder: FakeEncoder) -> None:
    inside = Inside()
    keep(Service(encoder))
    assert [answer.text for answer in asked(inside, text(), text())] == ["inside"] * 2


def test_a_process_without_an_ingress_has_nobody_at_the_door() -> None:
    inside = Inside()
    assert [answer.text for answer in asked(inside, text())] == ["inside"]


def test_dialects_have_their_own_words(encoder: FakeEncoder) -> None:
    keep(Service(encoder))
    encoder.overload = FULL
    [openai] = asked(Inside(), {"method": "POST", "url": "/v1/embeddings", "json": {"input": "a", "model": "x"}})
    assert (openai.status_code, openai.json()["error"]["message"]) == (429, FULL.message)


def test_a_bad_key_is_told_first(encoder: FakeEncoder) -> None:
    keep(Service(encoder, guard=guard_of()))
    encoder.overload = FULL
    answers = asked(Inside(), text(), text(headers=bearer(ONE["embed"])))
    assert [answer.status_code for answer in answers] == [401, 429]


def test_a_large_body_is_not_waited_for(encoder: FakeEncoder) -> None:
    keep(Service(encoder))
    encoder.overload = FULL
    [answer] = asked(Inside(), text(content=b" " * 100_000, json=None))
    assert (answer.status_code, answer.headers["connection"]) == (429, "close")


def test_the_doors_routes_are_the_services() -> None:
    assert set(NEEDS) <= {route.path for route in ROUTES if route.method == "POST"}
