"""What the door answers itself, shed or not, and what it leaves to Serve.

The imports of Ray warn, and warnings are errors here.
"""

import asyncio
import warnings
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from app.api.routes import NEEDS
from app.dispatch.load_shedding import LoadShedder
from app.errors import Overloaded
from tests.support.aio import Clock
from tests.support.calling import Service, error_of
from tests.support.keys import ONE, bearer, guard_of
from tests.support.service_fakes import FakeEncoder

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from ray.serve._private.common import DeploymentID, RequestMetadata, RequestProtocol
    from ray.serve._private.http_util import _apply_middlewares

    from deployments.client_headers import middlewares
    from deployments.serve_internals.bypass_middleware import BypassMiddleware

FULL = Overloaded("small-model has 5.0 s of work waiting.", retry_after=5)


class Metrics:
    """Serve's, as far as the door knows them."""

    def __init__(self) -> None:
        self.under_way = self.most = 0
        self.recorded: list[tuple[str, str, str, bool]] = []

    def inc_num_ongoing_requests(self, metadata: RequestMetadata) -> None:
        assert metadata.is_direct_ingress
        assert metadata.is_http_request
        self.under_way += 1
        self.most = max(self.most, self.under_way)

    def dec_num_ongoing_requests(self, metadata: RequestMetadata) -> None:
        self.under_way -= 1

    def record_request_metrics(self, *, route: str, latency_ms: float, is_error: bool) -> None:
        assert (latency_ms > 0, is_error) == (True, False)

    def record_ingress_request_metrics(self, *, latency_ms: float, protocol: object, **tags: Any) -> None:
        assert (tags.pop("app_name"), tags.pop("deployment_name"), protocol) == ("app", "Ingress", RequestProtocol.HTTP)
        self.recorded.append((tags["method"], tags["route"], tags["status_code"], tags["is_error"]))


class Inside:
    """A replica of Serve's, and all that is behind it."""

    def __init__(self, *, most: int = 100, prefix: str = "/", threads: bool = False) -> None:
        self.paths: list[str] = []
        self._semaphore = asyncio.Semaphore(most)
        self._user_callable_wrapper = SimpleNamespace(_run_user_code_in_separate_thread=threads)
        self._metrics_manager = Metrics()
        self._deployment_id = DeploymentID("Ingress", "app")
        self._route_prefix = prefix

    @property
    def is_full(self) -> bool:
        return self._semaphore.locked()

    def changed(self) -> "Inside":
        """Of another version of Serve."""
        del self._semaphore
        return self

    @property
    def metrics(self) -> Metrics:
        return self._metrics_manager

    async def answers(self, scope: Any, receive: Any, send: Any) -> None:
        self.paths.append(scope["path"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"inside"})


@pytest.fixture
def encoder() -> Iterator[FakeEncoder]:
    yield FakeEncoder()
    BypassMiddleware.answers = BypassMiddleware.keeper = None


def asked(inside: Inside, *requests: dict[str, Any]) -> list[httpx.Response]:
    """Through the middlewares that Serve puts before itself."""
    app = _apply_middlewares(inside.answers, middlewares())

    async def call() -> list[httpx.Response]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client:
            return [await client.request(**request) for request in requests]

    return asyncio.run(call())


def keep(service: Service) -> None:
    """A door that lets nobody look."""
    BypassMiddleware.answers = service._app  # noqa: SLF001 - as `Service` does
    clock = Clock()
    BypassMiddleware.keeper = LoadShedder(service.embeddings.refusal, NEEDS, clock)
    BypassMiddleware.keeper._looks, BypassMiddleware.keeper._at = 0.0, clock.now  # noqa: SLF001 - all were used just now


def text(**options: Any) -> dict[str, Any]:
    return {"method": "POST", "url": "/embed/text", "json": {"texts": ["a"]}} | options


def test_a_full_model_refuses_at_the_door(encoder: FakeEncoder) -> None:
    service, inside = Service(encoder, names_answers=False), Inside()
    keep(service)
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


def test_all_else_is_answered_at_the_door_too_and_serve_knows_of_it(encoder: FakeEncoder) -> None:
    inside = Inside()
    BypassMiddleware.answers = Service(encoder, names_answers=False)._app  # noqa: SLF001 - as `Service` does
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


def test_what_serve_answers_itself_or_would_have_wait_goes_inside(encoder: FakeEncoder) -> None:
    BypassMiddleware.answers = Service(encoder)._app  # noqa: SLF001
    roomy, full = Inside(), Inside(most=0)
    assert asked(roomy, {"method": "GET", "url": "/-/healthz"})[0].text == "inside"
    assert asked(full, text())[0].text == "inside"
    assert (roomy.metrics.most, full.metrics.most) == (0, 0)


def test_a_serve_that_is_not_as_expected_gets_all_but_what_is_shed(encoder: FakeEncoder) -> None:
    service, others = Service(encoder), (Inside(prefix="/v2"), Inside().changed(), Inside(threads=True))
    BypassMiddleware.answers = service._app  # noqa: SLF001
    assert [asked(inside, text())[0].text for inside in others] == ["inside"] * 3
    keep(service)
    encoder.overload = FULL
    assert [asked(inside, text())[0].status_code for inside in others] == [429] * 3


def test_no_more_are_under_way_than_may_be_and_whoever_is_shed_takes_no_place(encoder: FakeEncoder) -> None:
    places: list[bool] = []
    inside = Inside(most=1)

    async def looks(scope: Any, receive: Any, send: Any) -> None:
        places.append(inside.is_full)
        await Inside().answers(scope, receive, send)

    BypassMiddleware.answers = looks
    asked(inside, text(), text())
    assert (places, inside.is_full, inside.paths) == ([True, True], False, [])
    keep(Service(encoder))
    BypassMiddleware.answers = looks
    encoder.overload = FULL
    asked(inside, text())
    assert (places, inside.is_full) == ([True, True, False], False)


def test_where_paths_have_a_prefix_serve_takes_it_off(encoder: FakeEncoder) -> None:
    BypassMiddleware.answers = Service(encoder)._app  # noqa: SLF001
    inside = Inside()
    app = _apply_middlewares(inside.answers, middlewares())

    async def call() -> httpx.Response:
        transport = httpx.ASGITransport(app, root_path="/api")
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            return await client.get("/api/-/healthz")

    assert asyncio.run(call()).text == "inside"


def test_an_application_that_fails_is_not_under_way_for_ever() -> None:
    async def fails(scope: Any, receive: Any, send: Any) -> None:
        raise RuntimeError("out of order")

    inside, BypassMiddleware.answers = Inside(), fails
    try:
        with pytest.raises(RuntimeError, match="out of order"):
            asked(inside, text())
    finally:
        BypassMiddleware.answers = None
    assert (inside.metrics.most, inside.metrics.under_way) == (1, 0)
    assert inside.metrics.recorded == [("POST", "other", "499", True)]


def test_a_process_without_an_ingress_has_nobody_at_the_door() -> None:
    inside = Inside()
    assert [answer.text for answer in asked(inside, text())] == ["inside"]


def test_dialects_have_their_own_words(encoder: FakeEncoder) -> None:
    keep(Service(encoder))
    encoder.overload = FULL
    [openai] = asked(Inside(), {"method": "POST", "url": "/v1/embeddings", "json": {"input": "a", "model": "x"}})
    assert (openai.status_code, openai.json()["error"]["message"]) == (429, FULL.message)


def test_a_bad_key_is_told_first(encoder: FakeEncoder) -> None:
    keep(Service(encoder, authenticator=guard_of()))
    encoder.overload = FULL
    answers = asked(Inside(), text(), text(headers=bearer(ONE["embed"])))
    assert [answer.status_code for answer in answers] == [401, 429]


def test_a_large_body_is_not_waited_for(encoder: FakeEncoder) -> None:
    keep(Service(encoder))
    encoder.overload = FULL
    [answer] = asked(Inside(), text(content=b" " * 100_000, json=None))
    assert (answer.status_code, answer.headers["connection"]) == (429, "close")
