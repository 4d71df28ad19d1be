"""The trace span of an HTTP request. Does nothing if tracing is off."""

from starlette.types import Scope

from app.telemetry import tracing
from app.telemetry.tracing import TRACEPARENT, Span


def begin_request(scope: Scope, request_id: str, *, is_traced: bool) -> tuple[Span | None, bytes | None]:
    """The request's span, if it is traced, and the `traceparent` header of its response."""
    given = None
    for name, value in scope["headers"]:
        if name == b"traceparent":
            given = str(value, "latin-1")
            break
    if given is not None and not TRACEPARENT.fullmatch(given):
        given = None
    tracer = tracing.tracer()
    if tracer is None or not is_traced:
        return None, given.encode() if given else None
    span = tracer.begin(scope["method"], "server", given)
    if span is None:
        return None, given.encode() if given else None
    span.set(request_id=request_id)
    return span, span.traceparent.encode()


def end_request(span: Span, scope: Scope, route: str, status: int) -> None:
    """End the span with the request's attributes. The scope's state may hold the error code."""
    span.set(**{"http.request.method": scope["method"], "http.route": route, "http.response.status_code": status})
    if answered := scope["state"].get("answered"):
        span.set(**answered.counts())
    if status >= 500:
        span.fail(scope["state"].get("error_code", "internal_error"))
    elif code := scope["state"].get("error_code"):
        span.set(**{"error.type": code})
    span.rename(f"{scope['method']} {route}")
    span.end()
