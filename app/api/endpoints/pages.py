"""The pages: `GET /`, `GET /docs`, their files under `/static/…`, and `GET /openapi.json`."""

from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

from app.api.backend import Backend

# Not guessed from the suffix: systems differ, and browsers reject modules with a wrong type.
TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
HEADERS: Final = {
    # File names do not change with their content, so browsers must revalidate; unchanged files are a 304.
    "cache-control": "no-cache",
    "cross-origin-resource-policy": "same-origin",
    # The files are small. Range requests get the whole file, as HTTP allows, since `Range` is not part of this API.
    "accept-ranges": "none",
}
FILES: Final = StaticFiles(directory=Path(__file__).parents[1] / "static")


async def openapi(request: Request, _: Backend) -> Response:
    return Response(request.app.state.openapi, media_type="application/json")


async def static(request: Request, _: Backend, name: str = "") -> Response:
    """A file, of the path's name by default, with an ETag, or a 304 if the client has the current version."""
    if name == "docs.html" and request.scope.get("raw_path", b"").endswith(b"/"):
        return Response(status_code=308, headers={"location": "../docs"})  # the page's links are relative
    name = name or request.path_params["file"]
    request.scope["headers"] = [header for header in request.scope["headers"] if header[0] != b"range"]
    response = await FILES.get_response(name, request.scope)
    response.headers.update(HEADERS)
    if response.status_code == 200:
        response.headers["content-type"] = TYPES[Path(name).suffix]
    return response
