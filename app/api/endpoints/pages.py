"""`GET /`, the page, and `GET /static/…`, what it is made of. What the page may do is
`app.api.middleware.security_headers`'."""

from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

# Said here, because what a system thinks of a suffix differs and browsers refuse modules of a wrong type.
TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
HEADERS: Final = {
    # File names stay while their content changes with the version: ask each time, an unchanged one is a 304.
    "cache-control": "no-cache",
    "cross-origin-resource-policy": "same-origin",
    # The files are small: whoever asks for a part gets the whole, as HTTP allows, and not a status that is not ours.
    "accept-ranges": "none",
}
FILES: Final = StaticFiles(directory=Path(__file__).parents[1] / "static")


async def index(request: Request) -> Response:
    return await file_response(request, "index.html")


async def static(request: Request) -> Response:
    return await file_response(request, request.path_params["file"])


async def file_response(request: Request, name: str) -> Response:
    """The whole file, with an ETag; 304 where the client has it already."""
    request.scope["headers"] = [header for header in request.scope["headers"] if header[0] != b"range"]
    response = await FILES.get_response(name, request.scope)
    response.headers.update(HEADERS)
    if response.status_code == 200:
        response.headers["content-type"] = TYPES[Path(name).suffix]
    return response
