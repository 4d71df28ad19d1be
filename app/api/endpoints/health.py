"""`GET /health`, `/livez` and `/readyz`.

`/livez` reports that the ingress is running; `/readyz` that no model is loading and a text model is ready; `/health`
reports details to callers with the `read` scope.
"""

import time
from importlib.metadata import version
from typing import Literal

from starlette.requests import Request
from starlette.responses import Response

from app.api.backend import Backend
from app.api.middleware.auth import may_read
from app.api.wire.json_response import json_response, wire_response
from app.schemas.operations import CacheHealth, HealthResponse, HealthSummary, ModelHealth
from app.service.embedding_service import EmbeddingService
from app.service.encoder import Encoder

VERSION = version("ray-embedding-service")
# What is reported of a model that is ready.
FACTS = ("dimensions", "max_tokens", "backend", "precision", "device", "fingerprint", "note")
Status = Literal["healthy", "degraded", "starting"]


async def livez(request: Request) -> Response:
    return json_response({"status": "alive"})


async def readyz(request: Request) -> Response:
    backend: Backend = request.app.state.backend
    ready = _is_ready(backend.service)
    return json_response({"status": "ready" if ready else "starting"}, 200 if ready else 503)


async def health(request: Request) -> Response:
    backend: Backend = request.app.state.backend
    service = backend.service
    stats = await backend.cache.stats()
    waiting = await backend.metrics.waiting() if backend.metrics else []
    # From here on of one moment: nothing is awaited.
    details = [_detail(encoder) for encoder in service.encoders.values()]
    reasons = [f"{model.id}: {model.reason}" for model in details if model.status == "unavailable"]
    reasons += [f"{model.note} {model.reason or ''}".strip() for model in details if model.note]
    if not stats.available:
        reasons.append("The shared cache can't be reached; every miss of the near cache is a miss.")
    reasons += waiting
    ready = _is_ready(service) and not waiting
    status: Status = "starting" if not ready else "degraded" if reasons else "healthy"
    if not may_read(request):
        return wire_response(HealthSummary(status=status), 200 if ready else 503)
    answer = HealthResponse(
        status=status,
        uptime=round(time.monotonic() - backend.started, 3),
        models={"text": service.default_model("text"), "image": service.default_model("image")},
        cache=CacheHealth(
            size=stats.size, max_size=stats.max_size, hit_rate=round(stats.hit_rate, 4), available=stats.available
        ),
        details=details,
        reasons=reasons,
        version=VERSION,
    )
    return wire_response(answer, 200 if ready else 503)


def _is_ready(service: EmbeddingService) -> bool:
    states = [encoder.state.status for encoder in service.encoders.values()]
    text = [e.state.status for e in service.encoders.values() if "text" in e.kinds and "image" not in e.kinds]
    return "loading" not in states and (not text or "ready" in text)


def _detail(encoder: Encoder) -> ModelHealth:
    state = encoder.state
    return ModelHealth(
        id=state.id,
        kind="image" if "image" in encoder.kinds else "text",
        status=state.status,
        items=state.items,
        batches=state.batches,
        reason=state.reason,
        **{name: getattr(state.info, name) for name in FACTS if state.info},
    )
