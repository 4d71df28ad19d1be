"""How an error is written: in our words, or as the clients of another service expect it. A path has one dialect."""

from typing import Literal

from app.errors import PayloadTooLarge, ServiceError
from app.schemas import Json

Dialect = Literal["native", "openai"]


def dialect_of(path: str) -> Dialect:
    return "openai" if path.startswith("/v1/") else "native"


def status_of(error: ServiceError, dialect: Dialect) -> int:
    # Too many inputs are a bad request to OpenAI; a body too large is no different there.
    if dialect == "openai" and isinstance(error, PayloadTooLarge) and error.param:
        return 400
    return error.status


def written(error: ServiceError, request_id: str, dialect: Dialect) -> Json:
    if dialect == "openai":
        return {"error": _as_openai(error)}
    return {
        "error": {"code": error.code, "message": error.message, "param": error.param, "requestId": request_id},
    }


def _as_openai(error: ServiceError) -> Json:
    status = status_of(error, "openai")
    kind = "server_error" if status >= 500 else "invalid_request_error"
    code: str | None = error.code
    if status == 429:
        kind, code = "rate_limit_error", "rate_limit_exceeded"
    elif status == 400:
        code = None
    return {"message": error.message, "type": kind, "param": error.param, "code": code}
