"""Writes JSON responses with orjson, which serializes numpy arrays directly, and errors in the formats of several
APIs: this one's own, OpenAI's, TEI's, Cohere's, Voyage's and a plain one.
"""

from typing import Any, Final, Literal

import orjson
from starlette.responses import Response

from app import errors
from app.errors import PayloadTooLarge, ServiceError, Unauthorized
from app.schemas.wire import Json, Wire

ErrorFormat = Literal["native", "openai", "tei", "cohere", "voyage", "plain"]
_PREFIXES: Final[dict[str, ErrorFormat]] = {"/v1/": "openai", "/v2/": "cohere", "/api/": "plain"}


def error_format_of_unknown(path: str) -> ErrorFormat:
    """The format for a path without a route: below these, the clients are OpenAI's, Cohere's and Ollama's."""
    return next((form for prefix, form in _PREFIXES.items() if f"{path.lower()}/".startswith(prefix)), "native")


def status_of(error: ServiceError, format_: ErrorFormat) -> int:
    # A body that is too large is a 413 in all formats. Others treat too many or too long inputs as invalid.
    if format_ != "native" and isinstance(error, PayloadTooLarge) and error.param:
        return 422 if format_ == "tei" else 400
    if format_ == "tei" and isinstance(error, errors.InvalidRequest) and not isinstance(error, errors.EmptyInput):
        return 422
    return error.status


def statuses_of(error: type[ServiceError], format_: ErrorFormat) -> set[int]:
    """All statuses that errors of this class can have."""
    return {status_of(error("", param), format_) for param in (None, "field")}


def error_body(error: ServiceError, request_id: str, format_: ErrorFormat) -> Json:
    if format_ == "openai":
        return {"error": _as_openai(error)}
    if format_ == "native":
        return {"error": {"code": error.code, "message": error.message, "param": error.param, "requestId": request_id}}
    # The others have no field for the item at fault.
    is_named = "." not in (error.param or "") or f"`{error.param}`" in error.message
    message = error.message if is_named else f"`{error.param}`: {error.message}"
    if format_ == "tei":
        return {"error": message, "error_type": _tei_type(error)}
    if format_ == "cohere":
        return {"id": request_id, "message": message}
    return {"detail" if format_ == "voyage" else "error": message}


def _as_openai(error: ServiceError) -> Json:
    status = status_of(error, "openai")
    kind = "server_error" if status >= 500 else "rate_limit_error" if status == 429 else "invalid_request_error"
    codes = {400: None, 401: "invalid_api_key", 403: "insufficient_permissions", 429: "rate_limit_exceeded"}
    return {"message": error.message, "type": kind, "param": error.param, "code": codes.get(status, error.code)}


def _tei_type(error: ServiceError) -> str:
    if isinstance(error, errors.EmptyInput):
        return "Empty"
    if isinstance(error, errors.Unavailable):
        return "Unhealthy"
    if isinstance(error, errors.Overloaded):
        return "Overloaded"
    return "Backend" if error.status >= 500 else "Validation"


def json_response(data: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    body = orjson.dumps(data, option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(body, status, headers, media_type="application/json")


def wire_response(model: Wire, status: int = 200) -> Response:
    return json_response(model.model_dump(by_alias=True, mode="json"), status)


def error_response(error: ServiceError, request_id: str, format_: ErrorFormat) -> Response:
    headers = {}
    if isinstance(error, Unauthorized):
        headers["www-authenticate"] = 'Bearer realm="embeddings"'
    if error.retry_after is not None:
        headers["retry-after"] = str(max(1, round(error.retry_after)))
    if error.max_items is not None:
        headers["x-embedding-max-items"] = str(error.max_items)
    return json_response(error_body(error, request_id, format_), status_of(error, format_), headers)
