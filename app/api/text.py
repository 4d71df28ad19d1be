"""`POST /embed/text`."""

import time

from starlette.requests import Request
from starlette.responses import Response

from app.api import bodies
from app.api.backend import Backend
from app.api.responses import json_response
from app.schemas import TextRequest
from app.similarity import normalize


async def embed_text(request: Request) -> Response:
    started = time.perf_counter()
    backend: Backend = request.app.state.backend
    body = bodies.parse(await bodies.read_json(request, backend.args.limits.text_body), TextRequest)
    result = await backend.service.embed_texts(body.texts, body.model)
    rows, tokens, truncated = result.table()
    if body.normalize and not result.info.normalized:
        rows = normalize(rows)
    hits = sum(result.hits)
    answer = {
        "embeddings": rows,
        "model": result.info.id,
        "dimensions": result.info.dimensions,
        "processingTime": round((time.perf_counter() - started) * 1e3, 3),
        "cached": hits == len(body.texts),
        "cacheHits": hits,
        "usage": {"tokens": sum(tokens)},
        "truncated": truncated,
    }
    if result.info.note:
        answer["note"] = result.info.note
    return json_response(answer)
