"""`GET /metrics`: the whole cluster's figures as Prometheus text."""

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from app.api.backend import Backend
from app.telemetry import exposition


async def metrics(request: Request) -> Response:
    backend: Backend = request.app.state.backend
    snapshot = await backend.metrics.read()
    # Thousands of lines take milliseconds, which other requests should not wait for.
    return Response(await asyncio.to_thread(exposition.text, snapshot), media_type=exposition.CONTENT_TYPE)
