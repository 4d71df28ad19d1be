"""How an error is written: in our words, or as the clients of another service expect it."""

from typing import Literal

from app.errors import EmptyInput, InvalidRequest, Overloaded, PayloadTooLarge, ServiceError, Unavailable
from app.schemas import Json

Dialect = Literal["native", "openai", "tei"]


def dialect_of_unknown(path: str) -> Dialect:
    """Of a path that is no route's: below /v1/ only OpenAI's clients ask."""
    return "openai" if path.startswith("/v1/") else "native"


def status_of(error: ServiceError, dialect: Dialect) -> int:
    # A body too large is a 413 everywhere; too many inputs, or one too long, are as other wrong inputs are.
    if dialect != "native" and isinstance(error, PayloadTooLarge) and error.param:
        return 400 if dialect == "openai" else 422
    if dialect == "tei" and isinstance(error, InvalidRequest) and not isinstance(error, EmptyInput):
        return 422
    return error.status


def statuses_of(error: type[ServiceError], dialect: Dialect) -> set[int]:
    """All that errors of this class can have."""
    return {status_of(error("", param), dialect) for param in (None, "field")}


def written(error: ServiceError, request_id: str, dialect: Dialect) -> Json:
    if dialect == "openai":
        return {"error": _as_openai(error)}
    if dialect == "tei":
        return {"error": error.message, "error_type": _tei_type(error)}
    return {
        "error": {"code": error.code, "message": error.message, "param": error.param, "requestId": request_id},
    }


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
