"""Errors in frames: by code, message, parameter and time to wait, never by class."""

from typing import Any, Final

import orjson

from app import errors
from app.errors import InternalError, ServiceError

UNKNOWN: Final = "A deployment failed unexpectedly."

# Where classes share a code, the first of them, which is the others' base.
_BY_CODE: Final[dict[str, type[ServiceError]]] = {
    cls.code: cls
    for cls in reversed(vars(errors).values())
    if isinstance(cls, type) and issubclass(cls, ServiceError) and cls is not ServiceError
}


def error_fields(error: BaseException) -> dict[str, Any]:
    """What is told of an error; of one that is no ServiceError, only that it was one."""
    if not isinstance(error, ServiceError):
        error = InternalError(UNKNOWN)
    return {"code": error.code, "message": error.message, "param": error.param, "retry_after": error.retry_after}


def error_from(fields: Any) -> ServiceError:
    """Of an unknown code nobody knows here what it means: an InternalError with a constant text."""
    fields = fields if isinstance(fields, dict) else {}
    cls, message = _BY_CODE.get(str(fields.get("code"))), fields.get("message")
    if cls is None or not isinstance(message, str):
        return InternalError(UNKNOWN)
    return cls(message, fields.get("param"), fields.get("retry_after"))


def error_head(error: BaseException) -> bytes:
    """An error as the head of a frame."""
    try:
        return orjson.dumps(error_fields(error))
    except TypeError:  # no JSON: a lone surrogate, for one
        return orjson.dumps(error_fields(InternalError(UNKNOWN)))


def error_from_head(head: bytes) -> ServiceError:
    try:
        return error_from(orjson.loads(head))
    except orjson.JSONDecodeError:
        return InternalError(UNKNOWN)
