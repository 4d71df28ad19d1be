"""Keys, scopes and quotas over the whole route table. The same over real HTTP: tests/cluster/locked/test_access.py."""

import logging
import re
from pathlib import Path
from typing import Any

import pytest
from starlette.types import Message

from app.api.route import Route
from app.api.routes import PNG, ROUTES
from app.config.args import AccessArgs
from app.config.settings import AppArgs
from tests.support.calling import Service, error_of
from tests.support.keys import ALL, EXPIRED, LINES, ONE, OTHER, SCOPES, SERVE_ROUTES, UNKNOWN, bearer, guard_of
from tests.support.service_fakes import FakeEncoder, FakeReranker, FakeSparseEncoder, FakeTokenEncoder

SECURITY = Path(__file__).parents[3] / "SECURITY.md"
GUARDED = [route for route in ROUTES if route.scope != "open"]
# Every route is declared here a second time, so that a new one, or a route that is opened, is somebody's decision.
DECLARED = {
    "embed": {
        *("/embed/text", "/embed/image", "/embed/batch", "/similarity", "/search", "/v1/embeddings"),
        *(
            "POST /",
            "/embed",
            "/tokenize",
            "/decode",
            "/rerank",
            "/elastic/rerank",
            "/v1/rerank",
            "/v2/rerank",
            "/v1/ranking",
        ),
        *("/score", "/predict", "/embeddings", "/v1/embed", "/v2/embed", "/api/embed", "/api/embeddings"),
        *("/v1/multimodalembeddings", "/vectors", "/vectorize", "/classify", "/embed_sparse", "/embed_all"),
        *("/embed/chunks", "/v1/contextualizedembeddings"),
    },
    "read": {
        *("/v1/models", "/models", "/v1/models/{model}", "/api/tags", "/api/show", "/meta"),
        *("/info", "/cache/stats", "/metrics"),
    },
    "admin": {"/cache/clear", "/cache/warm"},
    "open": {
        *("/v1/health/live", "/v1/health/ready", "/.well-known/live", "/.well-known/ready"),
        *("/health", "/livez", "/readyz", "/docs", "GET /", "/static/{file}", "/openapi.json"),
        *("/-/healthz", "/-/routes"),  # answered by Serve
    },
}


def guarded(**args: object) -> Service:
    return Service(*encoders(), authenticator=guard_of(**args))


def encoders() -> tuple[FakeEncoder, ...]:
    texts, images = (
        FakeEncoder("sentence-transformers/all-MiniLM-L6-v2"),
        FakeEncoder("makers/pictures", ("image", "text")),
    )
    return texts, images, FakeReranker(), FakeSparseEncoder(), FakeTokenEncoder()


def call(service: Service, route: Route, headers: dict[str, str], method: str | None = None) -> Any:
    path = route.path.replace("{model:path}", "all-MiniLM-L6-v2").replace("{file:path}", "icon.svg")
    body: dict[str, Any] = {} if route.example is None else {"json": route.example}
    return service.request(method or route.method, path, headers=headers, **body)


@pytest.mark.parametrize("path", ["//embed", "/embed/", "/embed//text/", "//", "//metrics", "/cache/clear/"])
def test_doubled_slashes_need_the_key_as_well(path: str) -> None:
    method = "GET" if path == "//metrics" else "POST"
    assert guarded().request(method, f"http://service{path}").status_code == 401


async def first_events(service: Service, path: str) -> list[str]:
    """What happens to a request with a body and no key, up to the end."""
    events: list[str] = []

    async def receive() -> Message:
        events.append("asked for the body")
        return {"type": "http.request", "body": b"{}", "more_body": False}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            events.append(f"status {message['status']}")

    headers = [(b"content-length", b"2"), (b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": headers}
    await service.transport().app(scope, receive, send)
    return events


def methods(route: Route) -> list[str]:
    # The framework answers HEAD wherever there is GET.
    return ["GET", "HEAD"] if route.method == "GET" else [route.method]


def test_every_route_has_the_scope_that_is_declared() -> None:
    found: dict[str, set[str]] = {}
    for route in ROUTES:
        # One path of two methods: the page, and text-embeddings-inference's shortest route.
        name = f"{route.method} /" if route.template == "/" else route.template
        found.setdefault(route.scope, set()).add(name)
    for path, scope in SERVE_ROUTES.items():
        found.setdefault(scope, set()).add(path)
    assert found == DECLARED


def test_security_md_names_what_each_scope_opens() -> None:
    about = SECURITY.read_text().partition("- **Scopes**")[2].partition("- **Sent**")[0]
    named = {scope: set(re.findall(r"`(/[^`]*)`", rest)) for scope, rest in re.findall(r"`(\w+)`\s+\(([^)]*)\)", about)}
    # What goes by a name is one route to a reader; /health is open, and whole for readers only.
    assert named["read"] == DECLARED["read"] - {"/v1/models/{model}"} | {"/health"}
    assert named["admin"] == DECLARED["admin"]
    opened = set(re.findall(r"`(/[^`]*)`", about.partition("Open to all")[2])) | {"/static/{file}"}
    assert opened == {path.removeprefix("GET ") for path in DECLARED["open"]}


def test_a_route_without_a_scope_cannot_be_made() -> None:
    route = ROUTES[0]
    with pytest.raises(TypeError, match="scope"):
        Route(route.method, route.path, route.handler, route.summary)  # type: ignore[call-arg]


def test_the_application_has_no_route_beside_the_table() -> None:
    routes = Service()._app.router.routes  # noqa: SLF001 - what the framework really serves
    served = [(route.path, method) for route in routes for method in route.methods]  # type: ignore[attr-defined]
    assert sorted(served) == sorted((route.path, method) for route in ROUTES for method in methods(route))


def name_of(route: Route) -> str:
    return f"{route.method} {route.path}"


@pytest.mark.parametrize("route", GUARDED, ids=name_of)
def test_requests_without_a_valid_key_are_rejected(route: Route) -> None:
    service = guarded()
    wrong = [({}, 401), (bearer(UNKNOWN), 401), ({"x-api-key": UNKNOWN}, 401), (bearer(ALL[:-1]), 401)]
    wrong += [(bearer(EXPIRED[scope]), 401) for scope in SCOPES]
    wrong += [(bearer(ONE[scope]), 403) for scope in SCOPES if scope != route.scope]
    wrong += [({"authorization": ALL}, 401), ({"authorization": f"Basic {ALL}"}, 401), ({"cookie": f"key={ALL}"}, 401)]
    wrong += [({"authorization": f"Bearer {ALL}", "x-api-key": OTHER}, 401)]
    for headers, status in wrong:
        for method in methods(route):
            answer = call(service, route, headers, method)
            assert answer.status_code == status, (method, headers)
            assert ("www-authenticate" in answer.headers) == (status == 401)
    assert service.control.clears == 0
    assert service.ranker.bodies == []


@pytest.mark.parametrize("route", ROUTES, ids=name_of)
def test_the_right_key_opens_either_way_it_is_sent(route: Route) -> None:
    service = guarded()
    secret = ALL if route.scope == "open" else ONE[route.scope]
    # Without an example there is no body here, which is the route's own business to refuse.
    inside = 400 if route.request and route.example is None else 200
    for headers in (bearer(secret), {"authorization": f"bearer  {secret} "}, {"x-api-key": secret}):
        assert call(service, route, headers).status_code == inside
    both = bearer(secret) | {"x-api-key": secret}
    assert call(service, route, both).status_code == inside
    assert call(service, route, {"x-api-key": secret, "authorization": "Basic YTpi"}).status_code == inside


@pytest.mark.parametrize("route", [r for r in ROUTES if r.scope == "open"], ids=name_of)
def test_open_routes_answer_anybody_and_tell_nothing(route: Route) -> None:
    service = guarded()
    for headers in ({}, bearer(UNKNOWN), bearer(ONE["embed"])):
        answer = call(service, route, headers)
        assert answer.status_code == 200
        if route.path in ("/health", "/livez", "/readyz"):
            assert list(answer.json()) == ["status"]


def test_health_details_need_the_read_scope_or_auth_off() -> None:
    whole = Service().get("/health").json()
    assert "details" in whole
    assert guarded().get("/health", headers=bearer(ONE["read"])).json().keys() == whole.keys()


def test_the_body_is_not_parsed_before_the_key_is_known() -> None:
    service = guarded()
    answer = service.post("/embed/text", content=b"{nonsense", headers={"content-type": "text/plain"})
    assert (answer.status_code, error_of(answer)["code"]) == (401, "unauthorized")
    answer = service.post("/embed/text", content=b"{nonsense", headers=bearer(ONE["embed"]))
    assert answer.status_code == 400


async def test_the_body_is_not_touched_before_the_key_is_known() -> None:
    # What comes after the answer is drained, and never parsed.
    assert await first_events(guarded(), "/embed/text") == ["status 401", "asked for the body"]


def test_openai_routes_return_openai_errors() -> None:
    service = guarded(requests_per_minute=1)
    body = {"model": "all-MiniLM-L6-v2", "input": "a"}
    assert service.post("/v1/embeddings", json=body, headers=bearer(ALL)).status_code == 200
    answers = [
        service.post("/v1/embeddings", json=body, headers=headers) for headers in ({}, bearer(ONE["read"]), bearer(ALL))
    ]
    assert [(a.status_code, a.json()["error"]["type"], a.json()["error"]["code"]) for a in answers] == [
        (401, "invalid_request_error", "invalid_api_key"),
        (403, "invalid_request_error", "insufficient_permissions"),
        (429, "rate_limit_error", "rate_limit_exceeded"),
    ]


def test_a_hit_is_the_tenants_own_and_so_is_what_is_under_way() -> None:
    def cached(service: Service, *secrets: str) -> list[bool]:
        answers = [service.post("/embed/text", json={"texts": ["a"]}, headers=bearer(secret)) for secret in secrets]
        return [answer.json()["cached"] for answer in answers]

    assert cached(guarded(), ALL, ALL, OTHER, OTHER) == [False, True, False, True]
    assert cached(guarded(share_cache=True), ALL, ALL, OTHER, OTHER) == [False, True, True, True]


# What each route embeds, with the tokens that it counts; the fake model has one for an image.
EMBEDS: dict[str, list[tuple[dict[str, Any], int]]] = {
    "/embed/text": [({"texts": ["a b"]}, 2), ({"texts": ["a b"], "model": "sparse"}, 2)],
    "/embed/image": [({"images": [PNG]}, 1)],
    "/embed/chunks": [({"text": "a b"}, 2)],
    "/embed/batch": [({"items": [{"text": "a b"}]}, 2), ({"items": [{"image": PNG}]}, 1)],
    "/v1/embeddings": [
        ({"model": "all-MiniLM-L6-v2", "input": "a b"}, 2),
        ({"model": "all-MiniLM-L6-v2", "input": [5, 6]}, 2),
        ({"model": "pictures", "input": [{"image": PNG}]}, 1),
    ],
    "/embeddings": [({"input": "a b"}, 2), ({"input": PNG, "modality": "image"}, 1)],
    "/api/embed": [({"input": "a b"}, 2)],
    "/api/embeddings": [({"prompt": "a b"}, 2)],
    "/v1/multimodalembeddings": [({"inputs": [{"content": [{"type": "text", "text": "a b"}]}]}, 2)],
    "/vectors": [({"text": "a b"}, 2)],
    "/vectorize": [({"images": [PNG, PNG]}, 2)],
    "/classify": [({"input": "a b"}, 2)],
    "/v1/embed": [({"texts": ["a b"]}, 2), ({"images": [PNG]}, 1)],
    "/v2/embed": [({"inputs": [{"content": [{"type": "text", "text": "a b"}]}]}, 2)],
    "/search": [
        ({"query": {"text": "a b"}, "candidates": [{"text": "a b"}]}, 4),
        ({"query": {"image": PNG}, "candidates": [{"image": PNG}]}, 2),
    ],
    "/embed": [({"inputs": "a b"}, 2)],
    "/": [({"inputs": "a b"}, 2)],
    "/rerank": [({"query": "a", "documents": ["b c"]}, 3), ({"query": "a", "texts": ["b c"]}, 3)],
    "/elastic/rerank": [({"query": "a", "documents": ["b c"]}, 3)],
    "/v1/rerank": [({"query": "a", "documents": ["b c"]}, 3)],
    "/v2/rerank": [({"query": "a", "documents": ["b c"]}, 3)],
    "/v1/ranking": [({"query": {"text": "a"}, "passages": [{"text": "b c"}]}, 3)],
    "/score": [({"text_1": "a", "text_2": "b c"}, 3)],
    "/predict": [({"inputs": "a b"}, 2), ({"inputs": [["a", "b"]]}, 2)],
}
EMBEDS["/embed_sparse"] = EMBEDS["/embed_all"] = [({"inputs": "a b"}, 2)]
# Keeps nothing; what it counts stands in test_chunks too.
NOT_KEPT: dict[str, list[tuple[dict[str, Any], int]]] = {
    "/v1/contextualizedembeddings": [({"inputs": [["a b"]], "model": "all-MiniLM-L6-v2"}, 2)]
}
NO_MODEL = {"/similarity", "/tokenize", "/decode"}  # count no tokens and keep nothing


def test_the_table_has_every_route_that_embeds() -> None:
    assert EMBEDS.keys() | NOT_KEPT.keys() | NO_MODEL == {route.path for route in ROUTES if route.scope == "embed"}


@pytest.mark.parametrize("path", EMBEDS)
def test_every_route_that_embeds_keeps_tenants_apart_and_counts_tokens(path: str) -> None:
    for body, tokens in EMBEDS[path]:
        models = encoders()
        service = Service(*models, authenticator=guard_of(tokens_per_minute=1000))
        for runs, secret in enumerate((ALL, OTHER), 1):
            for _ in range(2):
                answer = service.post(path, json=body, headers=bearer(secret))
                assert answer.status_code == 200, answer.text
            assert sum(len(model.calls) for model in models) == runs, body
            assert answer.headers["x-ratelimit-remaining-tokens"] == str(1000 - 2 * tokens)


@pytest.mark.parametrize("path", [*EMBEDS, *NOT_KEPT])
def test_every_route_that_embeds_ends_at_the_quota(path: str) -> None:
    for body, tokens in (EMBEDS | NOT_KEPT)[path]:
        for quota in ({"tokens_per_minute": tokens}, {"requests_per_minute": 1}):
            service = guarded(**quota)
            statuses = [service.post(path, json=body, headers=bearer(ALL)).status_code for _ in range(2)]
            assert statuses == [200, 429], (body, quota)


def test_quotas_are_told_and_end_in_429() -> None:
    service = guarded(requests_per_minute=3, tokens_per_minute=5)
    answers = [service.post("/embed/text", json={"texts": ["a b c"]}, headers=bearer(ALL)) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    first, second, third = (answer.headers for answer in answers)
    assert first["ratelimit-policy"] == '"requests";q=3;w=60, "tokens";q=5;w=60'
    assert first["ratelimit"] == '"requests";r=2;t=60, "tokens";r=2;t=60'
    assert (first["x-ratelimit-limit-requests"], first["x-ratelimit-limit-tokens"]) == ("3", "5")
    assert (first["x-ratelimit-remaining-requests"], second["x-ratelimit-remaining-tokens"]) == ("2", "0")
    assert first["x-ratelimit-reset-requests"] == "60.000s"
    assert (third["retry-after"], error_of(answers[2])["code"]) == ("60", "too_many_requests")
    assert "quota of 5 tokens per minute" in error_of(answers[2])["message"]
    # Another tenant, open routes and refused callers are not concerned.
    assert service.post("/embed/text", json={"texts": ["a"]}, headers=bearer(OTHER)).status_code == 200
    assert service.get("/livez", headers=bearer(ALL)).status_code == 200
    assert "ratelimit" not in service.get("/cache/stats").headers


def test_a_keys_own_limits_go_before_the_services() -> None:
    authenticator = guard_of(requests_per_minute=1)
    service = Service(authenticator=authenticator)
    key = authenticator.keys.ring.admit(ALL.encode(), "read", 0)
    assert authenticator.limits(key) == {"requests": 1, "tokens": AccessArgs().tokens_per_minute}
    assert [service.get("/cache/stats", headers=bearer(ALL)).status_code for _ in range(2)] == [200, 429]


def test_without_keys_there_is_no_quota() -> None:
    service = Service()
    answers = [service.get("/cache/stats") for _ in range(AccessArgs().requests_per_minute // 100)]
    assert {answer.status_code for answer in answers} == {200}
    assert "ratelimit" not in answers[0].headers


def test_settings_that_require_keys_need_an_authenticator() -> None:
    for settings in ({"auth": "required"}, {"access": AccessArgs(keys=(LINES[0],))}):
        with pytest.raises(ValueError, match="no authenticator"):
            Service(settings=settings)


def test_secrets_are_never_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    service = guarded()
    service.ranker.fault = RuntimeError("boom")
    for secret in (ALL, UNKNOWN, EXPIRED["embed"]):
        for headers in (bearer(secret), {"x-api-key": secret}):
            answer = service.post("/similarity", json={"query": [1], "candidates": [[1]]}, headers=headers)
            assert answer.status_code in (401, 500)
            assert secret not in answer.text
    assert "boom" in caplog.text
    assert all(secret not in caplog.text for secret in (ALL, UNKNOWN, EXPIRED["embed"]))


def test_the_description_names_schemes_scopes_and_refusals() -> None:
    cases: list[tuple[Service, list[Any]]] = [(guarded(), []), (Service(), [{}])]
    for service, anonymous in cases:
        doc = service.get("/openapi.json").json()
        assert doc["components"]["securitySchemes"].keys() == {"bearer", "apiKey"}
        for route in ROUTES:
            operation = doc["paths"][route.template][route.method.lower()]
            if route.scope == "open":
                assert "security" not in operation
            else:
                assert operation["security"] == [{"bearer": []}, {"apiKey": []}, *anonymous]
                assert {"401", "403", "429"} <= operation["responses"].keys()
            assert operation["x-scope"] == route.scope


def test_yaml_spells_off_as_false() -> None:
    assert AppArgs.model_validate({"auth": False}).auth == "off"
    with pytest.raises(ValueError, match="auth"):
        AppArgs.model_validate({"auth": True})
