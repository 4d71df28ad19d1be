"""Writes JSON responses with orjson, which serializes numpy arrays directly."""

from typing import Any

import orjson
from starlette.responses import Response

from app.api.wire.error_formats import ErrorFormat, error_body, status_of
from app.errors import ServiceError, Unauthorized
from app.schemas.wire import Wire


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
