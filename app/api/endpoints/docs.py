"""`GET /openapi.json`, made once per application of the route table, and `GET /docs`, a page of it."""

from starlette.requests import Request
from starlette.responses import Response

from app.api.endpoints.pages import file_response


async def openapi(request: Request) -> Response:
    return Response(request.app.state.openapi, media_type="application/json")


async def page(request: Request) -> Response:
    return await file_response(request, "docs.html")
