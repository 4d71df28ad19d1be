"""`GET /metrics`: the cluster's metrics in Prometheus' text format."""

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from app.api.backend import Backend
from app.telemetry import exposition


async def metrics(request: Request) -> Response:
    backend: Backend = request.app.state.backend
    snapshot = await backend.metrics.read() if backend.metrics else backend.service.registry.snapshot()
    # Writing thousands of lines takes milliseconds, so it must not block the event loop.
    return Response(await asyncio.to_thread(exposition.text, snapshot), media_type=exposition.CONTENT_TYPE)
