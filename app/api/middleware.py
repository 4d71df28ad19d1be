"""What every request passes: an id, the answer's common headers, and errors turned into JSON.

Pure ASGI, not `BaseHTTPMiddleware`, which costs a task and a queue per request.
"""

import logging
import re
import time
import uuid

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.responses import error_response
from app.errors import InternalError, ServiceError

logger = logging.getLogger(__name__)

# Version 00 of the W3C's trace context; zero ids are none.
TRACEPARENT = re.compile(rb"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
VALID_ID = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")


class RequestMiddleware:
    """`names_answers`: whether the request's id is written on the answer here; Serve does that by itself."""

    def __init__(self, app: ASGIApp, replica: str, *, names_answers: bool) -> None:
        self.app = app
        self.replica = replica.encode()
        self.names_answers = names_answers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = _request_id(scope)
        scope.setdefault("state", {})["request_id"] = request_id
        trace = next((v for k, v in scope["headers"] if k == b"traceparent" and TRACEPARENT.fullmatch(v)), None)
        began = time.perf_counter()
        started = False

        async def send_with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = [*message["headers"], (b"x-served-by", self.replica)]
                stages = {**scope["state"].get("stages", {}), "total": (time.perf_counter() - began) * 1e3}
                times = ", ".join(f"{name};dur={spent:.3f}" for name, spent in stages.items())
                message["headers"].append((b"server-timing", times.encode()))
                if trace is not None:
                    message["headers"].append((b"traceparent", trace))
                if self.names_answers:
                    message["headers"].append((b"x-request-id", request_id.encode()))
            await send(message)

        try:
            await self.app(scope, receive, send_with_headers)
        except ClientDisconnect:
            return
        except ServiceError as error:
            if started:
                raise
            await error_response(error, request_id, scope["path"])(scope, receive, send_with_headers)
        except Exception:
            logger.exception("request %s failed: %s %s", request_id, scope["method"], scope["path"])
            if started:
                raise
            failure = InternalError("Something went wrong on our side. The request id finds it in the log.")
            await error_response(failure, request_id, scope["path"])(scope, receive, send_with_headers)


def _request_id(scope: Scope) -> str:
    """The client's own id when it is a decent one, else a new one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and VALID_ID.fullmatch(value):
            return str(value, "ascii")
    return uuid.uuid4().hex
