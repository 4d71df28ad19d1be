"""The outermost middleware: assigns request ids, adds common headers, converts errors to JSON, drains unread bodies.

Pure ASGI, because `BaseHTTPMiddleware` costs a task and a queue per request.
"""

import logging
import time
import uuid
from contextlib import nullcontext
from http import HTTPStatus

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.middleware.disconnect import Disconnect
from app.api.middleware.request_body import Body
from app.api.middleware.request_metrics import RequestMetrics
from app.api.middleware.security_headers import security_headers
from app.api.route import plain_path
from app.api.wire.json_response import error_format_of_unknown, error_response
from app.errors import InternalError, ServiceError
from app.telemetry import tracing
from app.telemetry.metrics import CLIENT_LEFT, OTHER
from app.telemetry.request_log import VALID_ID
from app.telemetry.tracing import TRACEPARENT, Span

# How many inputs were truncated. A binary response lists their indices in a header of this name.
TRUNCATED = b"x-embedding-truncated"
logger = logging.getLogger(__name__)


class RequestMiddleware:
    """`names_answers`: whether to add the request id to responses; Serve does so itself."""

    def __init__(self, app: ASGIApp, replica: str, metrics: RequestMetrics, *, names_answers: bool) -> None:
        self.app = app
        self.replica = replica.encode()
        self.metrics = metrics
        self.names_answers = names_answers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = _request_id(scope)
        path = plain_path(scope["path"])
        if (facts := self.metrics.fixed(path)) is not None:
            scope["path"] = path
        else:
            facts = self.metrics.route(scope["path"])
        dialect = error_format_of_unknown(path) if facts is None else facts.errors_as
        span, trace = _begin_span(scope, request_id, is_traced=facts is None or facts.is_traced)
        began = time.perf_counter()
        state = scope.setdefault("state", {})
        state.update(request_id=request_id, dialect=dialect, began=began)
        started = False
        body = Body(scope, receive)
        status = CLIENT_LEFT

        async def send_with_headers(message: Message) -> None:
            nonlocal started, status
            if message["type"] == "http.response.start":
                started = True
                status = message["status"]
                stages = {**state.get("stages", {}), "total": (time.perf_counter() - began) * 1e3}
                times = ", ".join(f"{name};dur={spent:.3f}" for name, spent in stages.items())
                headers = [*message["headers"], (b"x-served-by", self.replica), *state.get("quota_headers", ())]
                headers.append((b"server-timing", times.encode()))
                truncated = state.get("truncated")
                if truncated and status == HTTPStatus.OK and not any(name == TRUNCATED for name, _ in headers):
                    headers.append((TRUNCATED, str(truncated).encode()))
                if trace is not None:
                    headers.append((b"traceparent", trace))
                # What the bypass answers never goes through Serve, which names the rest.
                if self.names_answers or "bypass" in state:
                    headers.append((b"x-request-id", request_id.encode()))
                if not body.is_read:
                    # The rest that is not drained must not be read as the next request.
                    headers.append((b"connection", b"close"))
                message["headers"] = headers + security_headers(headers)
            elif not body.is_read and not message.get("more_body", False):
                # The whole response is sent before the body is drained; only its end marker waits.
                await send({**message, "more_body": True})
                await body.drain()
                message = {"type": "http.response.body", "body": b""}
            await send(message)

        leaving = Disconnect(body, receive) if "bypass" in state else nullcontext()
        within = nullcontext() if span is None else tracing.within(span)
        self.metrics.began()
        try:
            with leaving, within:
                await self.app(scope, body.receive, send_with_headers)
        except ClientDisconnect:
            return
        except Exception as error:
            failure = error
            if not isinstance(failure, ServiceError):
                logger.exception("request %s failed: %s %s", request_id, scope["method"], scope["path"])
                failure = InternalError("Internal error. The log has the details under this request id.")
            if started:
                raise
            state["error_code"] = failure.code
            await error_response(failure, request_id, state["dialect"])(scope, body.receive, send_with_headers)
        finally:
            route = OTHER if facts is None else facts.template
            self.metrics.ended(scope, route, status, time.perf_counter() - began)
            state.update(route=route, status=status)
            if span is not None:
                _end_span(span, scope)


def _request_id(scope: Scope) -> str:
    """The client's request id if it is valid, else a new one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and VALID_ID.fullmatch(value):
            return str(value, "ascii")
    return uuid.uuid4().hex


def _begin_span(scope: Scope, request_id: str, *, is_traced: bool) -> tuple[Span | None, bytes | None]:
    """The request's span, if it is traced, and the `traceparent` header of its response."""
    given = next((str(value, "latin-1") for name, value in scope["headers"] if name == b"traceparent"), "")
    parent = given if TRACEPARENT.fullmatch(given) else None
    tracer = tracing.tracer()
    span = tracer.begin(scope["method"], "server", parent) if tracer is not None and is_traced else None
    if span is None:
        return None, parent.encode() if parent else None
    span.set(request_id=request_id)
    return span, span.traceparent.encode()


def _end_span(span: Span, scope: Scope) -> None:
    method, state = scope["method"], scope["state"]
    route, status, code = state["route"], state["status"], state.get("error_code")
    span.set(**{"http.request.method": method, "http.route": route, "http.response.status_code": status})
    if counts := state.get("counts"):
        span.set(**counts())
    if status >= 500:
        span.fail(code or "internal_error")
    elif code:
        span.set(**{"error.type": code})
    span.rename(f"{method} {route}")
    span.end()
