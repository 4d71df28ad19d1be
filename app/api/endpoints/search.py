"""`POST /search`: embeds through the cache, ranks on the similarity deployment."""

import asyncio
import time

from starlette.requests import Request
from starlette.responses import Response

from app.api.backend import Backend
from app.api.wire import bodies
from app.api.wire.embeddings import milliseconds, tell_times
from app.api.wire.json_response import json_response
from app.schemas import Json
from app.service import search_request
from app.service.search import vectors


async def search(request: Request) -> Response:
    started = time.perf_counter()
    backend: Backend = request.app.state.backend
    limits = backend.args.limits
    body = await bodies.read_json(request, limits.vector_body)
    asked = await asyncio.to_thread(search_request.parse, body, limits)
    found = await vectors(backend.service, asked)
    if found.result:
        tell_times(request, found.result)
    options = asked.options
    ranking = await backend.ranker.rank(found.rows[0], found.rows[1:], options.metric, options.top_k, options.threshold)
    results: list[Json] = []
    for index, score in zip(ranking.indices.tolist(), ranking.scores, strict=True):
        result: Json = {"index": index, "score": score}
        if options.return_candidates:
            result["candidate"] = asked.given[index]
        results.append(result)
    info = found.info
    return json_response(
        {
            "results": results,
            "metric": ranking.metric,
            "model": info.id if info else None,
            "space": info.space if info else options.space,
            "embedded": found.embedded,
            "cacheHits": found.hits,
            "processingTime": milliseconds(started),
        }
    )
