"""`create_app`: builds the ASGI application from the route table."""

from functools import cache
from importlib.metadata import version

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as StarletteRoute
from starlette.routing import compile_path

from app.api.backend import Backend
from app.api.middleware.auth import with_auth
from app.api.middleware.request import RequestMiddleware
from app.api.middleware.request_metrics import RequestMetrics
from app.api.middleware.security_headers import cross_origin
from app.api.openapi import document
from app.api.routes import ROUTES
from app.api.wire.json_response import error_response
from app.config.args import Limits
from app.errors import InvalidRequest, MethodNotAllowed, NotFound, ServiceError, did_you_mean

_PATHS = [(route, compile_path(route.path)[0]) for route in ROUTES]


def create_app(backend: Backend, *, names_answers: bool = True) -> Starlette:
    """The ASGI application of one replica's backend. `names_answers`: see `RequestMiddleware`."""
    if backend.args.asks_for_keys and backend.authenticator is None:
        raise ValueError("the settings require API keys, but the backend has no authenticator")
    app = Starlette(
        routes=[StarletteRoute(r.path, with_auth(r), methods=[r.method]) for r in ROUTES],
        middleware=[
            *cross_origin(backend.args.cors_origins),
            Middleware(
                RequestMiddleware,
                replica=backend.replica,
                names_answers=names_answers,
                metrics=RequestMetrics(backend.service.registry, ROUTES, backend.log),
            ),
        ],
        exception_handlers={HTTPException: _framework_error},
    )
    app.router.redirect_slashes = False
    app.state.backend = backend
    app.state.openapi = _description(backend.args.limits, keys=backend.authenticator is not None)
    return app


@cache
def _description(limits: Limits, *, keys: bool) -> bytes:
    """The OpenAPI document. Making it takes a tenth of a second: once for all applications of a process."""
    return orjson.dumps(document(ROUTES, limits, version("ray-embedding-service"), keys=keys))


async def _framework_error(request: Request, error: Exception) -> Response:
    """Converts Starlette's own errors into this API's format."""
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class only
    path = request.url.path
    failure: ServiceError
    # Not Starlette's own list, which contains the implied HEAD as well.
    allowed = ", ".join(sorted({r.method for r, path_regex in _PATHS if path_regex.match(path)}))
    if error.status_code == 405:
        failure = MethodNotAllowed(f"{path} allows {allowed}, not {request.method}.")
    elif error.status_code == 404:
        near = did_you_mean(path, [r.template for r in ROUTES], 3)
        failure = NotFound(f"There is no route {path}.{near} All routes: /docs and /openapi.json.")
    else:
        failure = InvalidRequest(str(error.detail))
    request.state.error_code = failure.code
    response = error_response(failure, request.state.request_id, request.state.dialect)
    if error.status_code == 405:
        response.headers["allow"] = allowed
    return response
