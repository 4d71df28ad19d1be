"""`/health`, `/livez`, `/readyz`, `/metrics` and `/cache/…`.

`/livez` reports that the ingress is running; `/readyz` that no model is loading and a text model is ready; `/health`
reports details to callers with the `read` scope.
"""

import asyncio
import base64
import binascii
import time
from dataclasses import asdict
from importlib.metadata import version
from typing import Literal

import numpy as np
from starlette.requests import Request
from starlette.responses import Response

from app.api.backend import Backend
from app.api.middleware.auth import may_read
from app.api.wire import bodies
from app.api.wire.embeddings import elapsed_ms
from app.api.wire.json_response import json_response, wire_response
from app.config.settings import MODELS
from app.errors import InvalidRequest
from app.schemas import operations as schemas
from app.service import cache_warming
from app.service.embedding_service import EmbeddingService
from app.service.encoder import Encoder
from app.telemetry import exposition
from app.types import Vector

VERSION = version("ray-embedding-service")
# What is reported of a model that is ready.
FACTS = ("dimensions", "max_tokens", "backend", "precision", "device", "fingerprint", "note")
Status = Literal["healthy", "degraded", "starting"]


async def livez(request: Request, _: Backend) -> Response:
    return json_response({"status": "alive"})


async def readyz(request: Request, backend: Backend) -> Response:
    ready = _is_ready(backend.service)
    return json_response({"status": "ready" if ready else "starting"}, 200 if ready else 503)


async def health(request: Request, backend: Backend) -> Response:
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
        return wire_response(schemas.HealthSummary(status=status), 200 if ready else 503)
    answer = schemas.HealthResponse(
        status=status,
        uptime=round(time.monotonic() - backend.started, 3),
        models={"text": None, "image": None}
        | {kind: model for kind in MODELS if (model := service.default_model(kind))},
        cache=schemas.CacheHealth(
            size=stats.size, max_size=stats.max_size, hit_rate=round(stats.hit_rate, 4), available=stats.available
        ),
        details=details,
        reasons=reasons,
        version=VERSION,
    )
    return wire_response(answer, 200 if ready else 503)


def _is_ready(service: EmbeddingService) -> bool:
    states = [encoder.state.status for encoder in service.encoders.values()]
    text = [e.state.status for e in service.encoders.values() if e.kinds == ("text",)]
    return "loading" not in states and (not text or "ready" in text)


def _detail(encoder: Encoder) -> schemas.ModelHealth:
    state = encoder.state
    return schemas.ModelHealth(
        id=state.id,
        kind=encoder.kinds[-1],
        status=state.status,
        items=state.items,
        batches=state.batches,
        reason=state.reason,
        **{name: getattr(state.info, name) for name in FACTS if state.info},
    )


async def metrics(request: Request, backend: Backend) -> Response:
    snapshot = await backend.metrics.read() if backend.metrics else backend.service.registry.snapshot()
    # Writing thousands of lines takes milliseconds, so it must not block the event loop.
    return Response(await asyncio.to_thread(exposition.text, snapshot), media_type=exposition.CONTENT_TYPE)


async def cache_stats(request: Request, backend: Backend) -> Response:
    stats = await backend.cache.stats()
    return wire_response(schemas.CacheStatsResponse(**asdict(stats), hit_rate=round(stats.hit_rate, 4)))


async def clear_cache(request: Request, backend: Backend) -> Response:
    body = await bodies.read(request, backend.args.limits.clear_body)
    if body.strip():
        bodies.require_json(request)
        bodies.parse(body, schemas.CacheClearRequest)
    return wire_response(schemas.CacheClearResponse(cleared=await backend.cache.clear()))


async def warm_cache(request: Request, backend: Backend) -> Response:
    body = bodies.parse(await bodies.read_json(request, backend.args.limits.text_body), schemas.CacheWarmRequest)
    count = len(body.texts)
    truncated = set(body.truncated)
    if truncated and max(truncated) >= count:
        raise InvalidRequest(f"`truncated` contains index {max(truncated)}, but there are {count} texts.", "truncated")
    rows, is_truncated = _rows(body.embeddings, count), [i in truncated for i in range(count)]
    ready = cache_warming.ReadyVectors(body.fingerprint, body.texts, rows, body.tokens, is_truncated)
    stored, checked = await cache_warming.warm(backend.service, backend.cache.warm, ready, body.model)
    took = elapsed_ms(request)
    return wire_response(schemas.CacheWarmResponse(stored=stored, checked=checked, processing_time=took))


def _rows(encoded: str, count: int) -> Vector:
    try:
        data = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidRequest("`embeddings` is not base64.", "embeddings") from error
    if not data or len(data) % (4 * count):
        raise InvalidRequest(
            f"`embeddings` has {len(data)} bytes, which is not {count} rows of float32 (4 bytes each).", "embeddings"
        )
    return np.frombuffer(data, "<f4").reshape(count, -1)
