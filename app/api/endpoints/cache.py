"""`GET /cache/stats`, `POST /cache/clear` and `POST /cache/warm`."""

import base64
import binascii
import time
from dataclasses import asdict

import numpy as np
from starlette.requests import Request
from starlette.responses import Response

from app.api.backend import Backend
from app.api.wire import bodies
from app.api.wire.embeddings import milliseconds
from app.api.wire.json_response import wire_response
from app.errors import InvalidRequest
from app.schemas.operations import CacheClearRequest, CacheClearResponse, CacheStatsResponse
from app.schemas.warming import CacheWarmRequest, CacheWarmResponse
from app.service import cache_warming
from app.service.cache_warming import ReadyVectors
from app.types import Vector


async def stats(request: Request) -> Response:
    backend: Backend = request.app.state.backend
    stats = await backend.cache.stats()
    return wire_response(CacheStatsResponse(**asdict(stats), hit_rate=round(stats.hit_rate, 4)))


async def clear(request: Request) -> Response:
    backend: Backend = request.app.state.backend
    body = await bodies.read(request, backend.args.limits.clear_body)
    if body.strip():
        bodies.require_json(request)
        bodies.parse(body, CacheClearRequest)
    return wire_response(CacheClearResponse(cleared=await backend.cache.clear()))


async def warm(request: Request) -> Response:
    started = time.perf_counter()
    backend: Backend = request.app.state.backend
    body = bodies.parse(await bodies.read_json(request, backend.args.limits.text_body), CacheWarmRequest)
    count = len(body.texts)
    truncated = set(body.truncated)
    if truncated and max(truncated) >= count:
        raise InvalidRequest(f"`truncated` contains index {max(truncated)}, but there are {count} texts.", "truncated")
    ready = ReadyVectors(
        body.fingerprint, body.texts, _rows(body.embeddings, count), body.tokens, [i in truncated for i in range(count)]
    )
    stored, checked = await cache_warming.warm(backend.service, backend.cache.warm, ready, body.model)
    return wire_response(CacheWarmResponse(stored=stored, checked=checked, processing_time=milliseconds(started)))


def _rows(encoded: str, count: int) -> Vector:
    try:
        data = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidRequest("`embeddings` is not base64.", "embeddings") from error
    if not data or len(data) % (4 * count):
        raise InvalidRequest(
            f"`embeddings` has {len(data)} bytes, which is not {count} rows of float32 (4 bytes each).", "embeddings"
        )
    return np.frombuffer(data, "<f4").reshape(count, -1)
