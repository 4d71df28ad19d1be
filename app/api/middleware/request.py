"""The outermost middleware: assigns request ids, adds common headers, converts errors to JSON, drains unread bodies.

Pure ASGI, because `BaseHTTPMiddleware` costs a task and a queue per request.
"""

import logging
import time
import uuid
from contextlib import nullcontext

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.middleware.disconnect import Disconnect
from app.api.middleware.request_body import Body
from app.api.middleware.request_metrics import RequestMetrics
from app.api.middleware.request_tracing import begin_request, end_request
from app.api.wire.error_formats import error_format_of_unknown
from app.api.wire.json_response import error_response
from app.api.wire.path import plain_path
from app.errors import InternalError, ServiceError
from app.telemetry import tracing
from app.telemetry.metrics import CLIENT_LEFT, OTHER
from app.telemetry.registry import Registry
from app.telemetry.request_log import VALID_ID

logger = logging.getLogger(__name__)


class RequestMiddleware:
    """`names_answers`: whether to add the request id to responses; Serve does so itself."""

    def __init__(
        self, app: ASGIApp, replica: str, *, names_answers: bool, registry: RequestMetrics | None = None
    ) -> None:
        self.app = app
        self.replica = replica.encode()
        self.names_answers = names_answers
        self.registry = registry or RequestMetrics(Registry(), ())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = _request_id(scope)
        path = plain_path(scope["path"])
        if (facts := self.registry.fixed(path)) is not None:
            scope["path"] = path
        else:
            facts = self.registry.route(scope["path"])
        dialect = error_format_of_unknown(path) if facts is None else facts.errors_as
        scope.setdefault("state", {}).update(request_id=request_id, dialect=dialect)
        span, trace = begin_request(scope, request_id, is_traced=facts is None or facts.is_traced)
        began = time.perf_counter()
        started = False
        body = Body(scope, receive)
        status = CLIENT_LEFT

        async def send_with_headers(message: Message) -> None:
            nonlocal started, status
            if message["type"] == "http.response.start":
                started = True
                status = message["status"]
                quota = scope["state"].get("quota_headers", ())
                message["headers"] = [*message["headers"], (b"x-served-by", self.replica), *quota]
                stages = {**scope["state"].get("stages", {}), "total": (time.perf_counter() - began) * 1e3}
                times = ", ".join(f"{name};dur={spent:.3f}" for name, spent in stages.items())
                message["headers"].append((b"server-timing", times.encode()))
                if trace is not None:
                    message["headers"].append((b"traceparent", trace))
                # What the bypass answers never goes through Serve, which names the rest.
                if self.names_answers or "bypass" in scope["state"]:
                    message["headers"].append((b"x-request-id", request_id.encode()))
                if not body.is_read:
                    # The rest that is not drained must not be read as the next request.
                    message["headers"].append((b"connection", b"close"))
            elif not body.is_read and not message.get("more_body", False):
                # The whole response is sent before the body is drained; only its end marker waits.
                await send({**message, "more_body": True})
                await body.drain()
                message = {"type": "http.response.body", "body": b""}
            await send(message)

        leaving = Disconnect(body, receive) if "bypass" in scope["state"] else nullcontext()
        within = nullcontext() if span is None else tracing.within(span)
        self.registry.began()
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
            scope["state"]["error_code"] = failure.code
            await error_response(failure, request_id, dialect)(scope, body.receive, send_with_headers)
        finally:
            route = OTHER if facts is None else facts.template
            self.registry.ended(scope, route, status, time.perf_counter() - began)
            scope["state"].update(route=route, status=status)
            if span is not None:
                end_request(span, scope, route, status)


def _request_id(scope: Scope) -> str:
    """The client's request id if it is valid, else a new one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and VALID_ID.fullmatch(value):
            return str(value, "ascii")
    return uuid.uuid4().hex
