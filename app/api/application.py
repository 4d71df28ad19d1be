"""`create_app`: the route table and the ASGI application made of it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as StarletteRoute

from app.api import batch, cache, health, image, similarity, text
from app.api.backend import Backend
from app.api.middleware import RequestMiddleware
from app.api.responses import error_response
from app.errors import InvalidRequest, MethodNotAllowed, NotFound, ServiceError
from app.schemas import (
    BatchRequest,
    BatchResponse,
    CacheClearRequest,
    CacheClearResponse,
    CacheStatsResponse,
    EmbeddingsResponse,
    HealthResponse,
    ImageRequest,
    SimilarityRequest,
    SimilarityResponse,
    TextRequest,
    Wire,
)

Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Route:
    """One route: everything that is known of it, said once."""

    method: str
    path: str
    handler: Handler
    summary: str
    request: type[Wire] | None = None
    response: type[Wire] | None = None


ROUTES = (
    Route("POST", "/embed/text", text.embed_text, "Embed texts.", TextRequest, EmbeddingsResponse),
    Route("POST", "/embed/image", image.embed_image, "Embed images.", ImageRequest, EmbeddingsResponse),
    Route("POST", "/embed/batch", batch.embed_batch, "Embed texts and images.", BatchRequest, BatchResponse),
    Route("POST", "/similarity", similarity.rank, "Rank vectors.", SimilarityRequest, SimilarityResponse),
    Route("GET", "/cache/stats", cache.stats, "The cache's figures.", None, CacheStatsResponse),
    Route("POST", "/cache/clear", cache.clear, "Empty the cache.", CacheClearRequest, CacheClearResponse),
    Route("GET", "/health", health.health, "Is it well, and why not.", None, HealthResponse),
    Route("GET", "/livez", health.livez, "The ingress runs."),
    Route("GET", "/readyz", health.readyz, "Models are loaded."),
)


def create_app(backend: Backend, *, names_answers: bool = True) -> Starlette:
    """The ASGI application over one replica's backend. `names_answers`: see `RequestMiddleware`."""
    app = Starlette(
        routes=[StarletteRoute(r.path, r.handler, methods=[r.method]) for r in ROUTES],
        middleware=[Middleware(RequestMiddleware, replica=backend.replica, names_answers=names_answers)],
        exception_handlers={HTTPException: _framework_error},
    )
    app.router.redirect_slashes = False
    app.state.backend = backend
    return app


async def _framework_error(request: Request, error: Exception) -> Response:
    """What Starlette itself refuses, in our words."""
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class only
    path = request.url.path
    failure: ServiceError
    if error.status_code == 405:
        allowed = ", ".join(sorted(r.method for r in ROUTES if r.path == path))
        failure = MethodNotAllowed(f"{path} takes {allowed}, not {request.method}.")
        response = error_response(failure, request.state.request_id)
        response.headers["allow"] = allowed
        return response
    if error.status_code == 404:
        failure = NotFound(f"There is no {path} here. Routes: {', '.join(r.path for r in ROUTES)}.")
    else:
        failure = InvalidRequest(str(error.detail))
    return error_response(failure, request.state.request_id)
