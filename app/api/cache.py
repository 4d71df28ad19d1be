"""`GET /cache/stats` and `POST /cache/clear`."""

from starlette.requests import Request
from starlette.responses import Response

from app.api import bodies
from app.api.backend import Backend
from app.api.responses import wire_response
from app.schemas import CacheClearRequest, CacheClearResponse, CacheStatsResponse

CLEAR_BODY = 4096


async def stats(request: Request) -> Response:
    backend: Backend = request.app.state.backend
    figures = await backend.cache.stats()
    return wire_response(
        CacheStatsResponse(
            size=figures.size,
            max_size=figures.max_size,
            bytes=figures.bytes,
            max_bytes=figures.max_bytes,
            hits=figures.hits,
            near_hits=figures.near_hits,
            misses=figures.misses,
            hit_rate=round(figures.hit_rate, 4),
            evictions=figures.evictions,
            expirations=figures.expirations,
            clients=figures.clients,
            available=figures.available,
        )
    )


async def clear(request: Request) -> Response:
    body = await bodies.read(request, CLEAR_BODY)
    if body.strip():
        bodies.parse(body, CacheClearRequest)
    backend: Backend = request.app.state.backend
    return wire_response(CacheClearResponse(cleared=await backend.cache.clear()))
