"""How answers are written: JSON by orjson, straight from numpy. What they say is the routes'."""

from typing import Any

import orjson
from starlette.responses import Response

from app.api.wire.error_formats import Dialect, status_of, written
from app.errors import ServiceError, Unauthorized
from app.schemas import Wire


def json_response(data: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    body = orjson.dumps(data, option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(body, status, headers, media_type="application/json")


def wire_response(model: Wire, status: int = 200) -> Response:
    return json_response(model.model_dump(by_alias=True, mode="json"), status)


def error_response(error: ServiceError, request_id: str, dialect: Dialect) -> Response:
    headers = {}
    if isinstance(error, Unauthorized):
        headers["www-authenticate"] = 'Bearer realm="embeddings"'
    if error.retry_after is not None:
        headers["retry-after"] = str(max(1, round(error.retry_after)))
    return json_response(written(error, request_id, dialect), status_of(error, dialect), headers)
