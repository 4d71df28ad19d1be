"""What the bypass middleware answers itself, shed or not, and what it leaves to Serve.

The imports of Ray warn, and warnings are errors here.
"""

import asyncio
import warnings
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from app.api.routes import NEEDS
from app.dispatch.load_shedding import LoadShedder
from app.errors import Overloaded
from tests.support.aio import Clock
from tests.support.calling import Service, error_of
from tests.support.keys import ONE, bearer, guard_of
from tests.support.serve_fakes import Inside
from tests.support.service_fakes import FakeEncoder

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from ray.serve._private.http_util import _apply_middlewares

    from deployments.client_headers import middlewares
    from deployments.serve_internals.accounting import ReplicaAccounting
    from deployments.serve_internals.bypass_middleware import BypassMiddleware

FULL = Overloaded("small-model has 5.0 s of work waiting.", retry_after=5)


@pytest.fixture
def encoder() -> Iterator[FakeEncoder]:
    yield FakeEncoder()
    BypassMiddleware.application = None


def asked(inside: Inside, *requests: dict[str, Any]) -> list[httpx.Response]:
    """Through the middlewares that Serve puts before itself."""
    app = _apply_middlewares(inside.answers, middlewares())

    async def call() -> list[httpx.Response]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client:
            return [await client.request(**request) for request in requests]

    return asyncio.run(call())


def register(inside: Inside, application: Any, *, shedding: Service | None = None) -> None:
    """`shedding`: a service whose shedder lets nobody look; without it nothing is shed."""
    clock = Clock()
    shedder = LoadShedder(shedding.embeddings.refusal if shedding else lambda kind: None, NEEDS, clock)
    shedder._looks, shedder._at = 0.0, clock.now  # noqa: SLF001 - all were used just now
    BypassMiddleware.register(application, ReplicaAccounting(inside), shedder)


def keep(inside: Inside, service: Service) -> None:
    register(inside, service._app, shedding=service)  # noqa: SLF001 - as `Service` does


def text(**options: Any) -> dict[str, Any]:
    return {"method": "POST", "url": "/embed/text", "json": {"texts": ["a"]}} | options


def test_a_full_model_refuses_before_serve(encoder: FakeEncoder) -> None:
    service, inside = Service(encoder, names_answers=False), Inside()
    keep(inside, service)
    encoder.overload = FULL
    [shed, health] = asked(inside, text(headers={"x-request-id": "mine-1"}), {"method": "GET", "url": "/health"})
    assert (health.status_code, shed.headers.get_list("x-request-id")) == (200, ["mine-1"])
    assert (shed.status_code, shed.headers["retry-after"], shed.headers["x-request-id"]) == (429, "5", "mine-1")
    error = error_of(shed)
    assert (error["code"], error["message"], error["requestId"]) == ("overloaded", FULL.message, "mine-1")
    assert "connection" not in shed.headers
    assert (encoder.calls, inside.paths) == ([], [])
    [counted] = [line for line in service.get("/metrics").text.splitlines() if 'status="429"' in line]
    assert counted.startswith("embedding_requests_total{")
    assert counted.endswith(" 1.0")


def test_all_else_is_answered_too_and_serve_counts_it(encoder: FakeEncoder) -> None:
    inside = Inside()
    register(inside, Service(encoder, names_answers=False)._app)  # noqa: SLF001 - as `Service` does
    good, bad, lost = asked(
        inside,
        text(headers={"x-request-id": "mine-2", "x-request-timeout-seconds": "0"}),
        text(json={"texts": []}),
        {"method": "GET", "url": "/no/such/place"},
    )
    assert (good.status_code, good.headers.get_list("x-request-id")) == (200, ["mine-2"])
    assert (bad.status_code, error_of(bad)["requestId"]) == (400, bad.headers["x-request-id"])
    assert (lost.status_code, inside.paths) == (404, [])
    assert inside.metrics.recorded == [
        ("POST", "/embed/text", "200", False),
        ("POST", "/embed/text", "400", True),
        ("GET", "other", "404", True),
    ]
    assert (inside.metrics.most, inside.metrics.under_way) == (1, 0)


def test_what_serve_answers_itself_or_would_have_wait_is_left_to_it(
    encoder: FakeEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def waits() -> None:
        pytest.fail("it waits for a place past Serve")

    roomy, full = Inside(), Inside(most=0)
    monkeypatch.setattr(full._semaphore, "acquire", waits)  # noqa: SLF001
    register(roomy, Service(encoder)._app)  # noqa: SLF001
    assert asked(roomy, {"method": "GET", "url": "/-/healthz"})[0].text == "inside"
    register(full, Service(encoder)._app)  # noqa: SLF001
    assert asked(full, text())[0].text == "inside"
    assert (roomy.metrics.most, full.metrics.most) == (0, 0)


def test_no_more_are_under_way_than_may_be_and_whoever_is_shed_takes_no_place(encoder: FakeEncoder) -> None:
    places: list[bool] = []
    inside = Inside(most=1)

    async def looks(scope: Any, receive: Any, send: Any) -> None:
        places.append(inside.is_full)
        await Inside().answers(scope, receive, send)

    register(inside, looks)
    asked(inside, text(), text())
    assert (places, inside.is_full, inside.paths) == ([True, True], False, [])
    register(inside, looks, shedding=Service(encoder))
    encoder.overload = FULL
    asked(inside, text())
    assert (places, inside.is_full) == ([True, True, False], False)


async def test_where_paths_have_a_prefix_serve_takes_it_off(encoder: FakeEncoder) -> None:
    inside = Inside()
    register(inside, Service(encoder)._app)  # noqa: SLF001
    app = _apply_middlewares(inside.answers, middlewares())

    async def call() -> httpx.Response:
        transport = httpx.ASGITransport(app, root_path="/api")
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            return await client.get("/api/-/healthz")

    assert (await call()).text == "inside"


def test_an_application_that_fails_is_not_under_way_for_ever(encoder: FakeEncoder) -> None:
    async def fails(scope: Any, receive: Any, send: Any) -> None:
        raise RuntimeError("out of order")

    inside = Inside()
    register(inside, fails)
    with pytest.raises(RuntimeError, match="out of order"):
        asked(inside, text())
    assert (inside.metrics.most, inside.metrics.under_way) == (1, 0)
    assert inside.metrics.recorded == [("POST", "other", "499", True)]


def test_a_process_without_an_ingress_leaves_all_to_serve() -> None:
    inside = Inside()
    assert [answer.text for answer in asked(inside, text())] == ["inside"]


def test_errors_have_the_form_of_their_api(encoder: FakeEncoder) -> None:
    keep(inside := Inside(), Service(encoder))
    encoder.overload = FULL
    [openai] = asked(inside, {"method": "POST", "url": "/v1/embeddings", "json": {"input": "a", "model": "x"}})
    assert (openai.status_code, openai.json()["error"]["message"]) == (429, FULL.message)


def test_a_bad_key_is_told_first(encoder: FakeEncoder) -> None:
    keep(inside := Inside(), Service(encoder, authenticator=guard_of()))
    encoder.overload = FULL
    answers = asked(inside, text(), text(headers=bearer(ONE["embed"])))
    assert [answer.status_code for answer in answers] == [401, 429]


def test_a_large_body_is_not_waited_for(encoder: FakeEncoder) -> None:
    keep(inside := Inside(), Service(encoder))
    encoder.overload = FULL
    [answer] = asked(inside, text(content=b" " * 100_000, json=None))
    assert (answer.status_code, answer.headers["connection"]) == (429, "close")
