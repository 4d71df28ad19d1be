"""`GET /openapi.json` and `GET /docs`. What they say is made once per application, of the route table."""

from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

PAGE = Path(__file__).parent / "static" / "docs.html"


async def openapi(request: Request) -> Response:
    return Response(request.app.state.openapi, media_type="application/json")


async def page(request: Request) -> Response:
    return Response(request.app.state.docs_page, media_type="text/html; charset=utf-8")
