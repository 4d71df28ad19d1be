"""A service with one route that only counts the bytes it is sent: what an upload costs by itself, behind the same
HAProxy and in the same kind of replica as ours.
"""

import argparse
from typing import Any

from ray import serve
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route

from app.config.settings import LaunchSettings
from deployments import local


async def count(request: Request) -> JSONResponse:
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
    return JSONResponse({"bytes": size})


async def health(request: Request) -> PlainTextResponse:
    return PlainTextResponse("ok")


@serve.ingress()
class Counter:
    """Nothing but the routes."""

    def __serve_build_asgi_app__(self) -> Any:
        return Starlette(routes=[Route("/count", count, methods=["POST"]), Route("/health", health)])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    port: int = parser.parse_args().port
    application: Any = serve.deployment(Counter, num_replicas=1).bind()
    local.run(application, LaunchSettings(host="127.0.0.1", port=port))
