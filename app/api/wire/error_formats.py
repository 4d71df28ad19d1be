"""Error formats: this API's own, OpenAI's and TEI's."""

from typing import Literal

from app.errors import EmptyInput, InvalidRequest, Overloaded, PayloadTooLarge, ServiceError, Unavailable
from app.schemas.wire import Json

ErrorFormat = Literal["native", "openai", "tei"]


def error_format_of_unknown(path: str) -> ErrorFormat:
    """The format for a path without a route: below /v1/ the clients are OpenAI's."""
    return "openai" if f"{path.lower()}/".startswith("/v1/") else "native"


def status_of(error: ServiceError, format_: ErrorFormat) -> int:
    # A body that is too large is a 413 in all formats. OpenAI and TEI treat too many or too long inputs as invalid.
    if format_ != "native" and isinstance(error, PayloadTooLarge) and error.param:
        return 400 if format_ == "openai" else 422
    if format_ == "tei" and isinstance(error, InvalidRequest) and not isinstance(error, EmptyInput):
        return 422
    return error.status


def statuses_of(error: type[ServiceError], format_: ErrorFormat) -> set[int]:
    """All statuses that errors of this class can have."""
    return {status_of(error("", param), format_) for param in (None, "field")}


def error_body(error: ServiceError, request_id: str, format_: ErrorFormat) -> Json:
    if format_ == "openai":
        return {"error": _as_openai(error)}
    if format_ == "tei":
        return {"error": error.message, "error_type": _tei_type(error)}
    return {"error": {"code": error.code, "message": error.message, "param": error.param, "requestId": request_id}}


def _as_openai(error: ServiceError) -> Json:
    status = status_of(error, "openai")
    kind = "server_error" if status >= 500 else "invalid_request_error"
    code: str | None = error.code
    if status == 429:
        kind, code = "rate_limit_error", "rate_limit_exceeded"
    elif status == 401:
        code = "invalid_api_key"
    elif status == 403:
        code = "insufficient_permissions"
    elif status == 400:
        code = None
    return {"message": error.message, "type": kind, "param": error.param, "code": code}


def _tei_type(error: ServiceError) -> str:
    if isinstance(error, EmptyInput):
        return "Empty"
    if isinstance(error, Unavailable):
        return "Unhealthy"
    if isinstance(error, Overloaded):
        return "Overloaded"
    return "Backend" if error.status >= 500 else "Validation"
