"""Reads request bodies, checking type, size and schema."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from starlette.requests import Request

from app.errors import PayloadTooLarge, UnsupportedMediaType
from app.schemas.validation import as_invalid_request, json_text
from app.schemas.wire import Wire

W = TypeVar("W", bound=Wire)


async def read(request: Request, limit: int) -> bytes:
    """The body. Raises UnsupportedMediaType if it is compressed, and PayloadTooLarge as soon as more than `limit` bytes
    are declared or sent."""
    _refuse_encoding(request)
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit:
        raise _too_large(limit)
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        chunks.append(chunk)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def content_type(request: Request) -> str:
    """The media type without its parameters; JSON if the client sends none."""
    return request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()


async def read_json(request: Request, limit: int, alternative: str = "") -> bytes:
    """As `read`, of a JSON request. `alternative`: other types that the route accepts, for the message."""
    require_json(request, alternative)
    return await read(request, limit)


def require_json(request: Request, alternative: str = "") -> None:
    """Raises UnsupportedMediaType if the content type is not JSON."""
    declared = content_type(request)
    if declared != "application/json" and not declared.endswith("+json"):
        wanted = " ".join(filter(None, ["application/json", alternative]))
        raise UnsupportedMediaType(f"Send {wanted}, not {declared or 'an empty content type'}.", "content-type")


async def read_array(request: Request, limit: int) -> NDArray[np.uint8]:
    """The body as an array, which is filled while it is received, so that chunks need not be joined."""
    _refuse_encoding(request)
    declared = request.headers.get("content-length", "")
    if not declared.isdigit() or int(declared) > limit:
        return np.frombuffer(await read(request, limit), np.uint8)
    array = np.empty(int(declared), np.uint8)
    size = 0
    async for chunk in request.stream():
        if size + len(chunk) > len(array):
            raise _too_large(len(array))
        array[size : size + len(chunk)] = np.frombuffer(chunk, np.uint8)
        size += len(chunk)
    return array[:size]


def _refuse_encoding(request: Request) -> None:
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise UnsupportedMediaType("Send the body uncompressed: Content-Encoding is not supported.", "content-encoding")


def parse(body: bytes, model: type[W]) -> W:
    """JSON bytes -> a request model. Raises InvalidRequest naming the first invalid field."""
    try:
        return model.model_validate_json(json_text(body))
    except ValidationError as error:
        raise as_invalid_request(error, model) from None


def _too_large(limit: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"The body is larger than {limit:,} bytes, the limit of this route.")
