"""`POST /search`: embeds the items, and ranks the candidates in the similarity deployment."""

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from app.api.backend import Backend
from app.api.wire import bodies
from app.api.wire.embeddings import elapsed_ms, record
from app.api.wire.json_response import json_response
from app.schemas.wire import Json
from app.service.search import embed, parse, rerank


async def search(request: Request, backend: Backend) -> Response:
    limits = backend.args.limits
    body = await bodies.read_json(request, limits.vector_body)
    query = await asyncio.to_thread(parse, body, limits)
    rows, embedded = await embed(backend.service, query)
    info = None
    if embedded:
        record(request, embedded)
        info = embedded.info
    hits = embedded.hits if embedded else []
    options = query.options
    reranks = options.rerank is not False
    most = options.rerank_top if reranks else options.top_k
    ranking = await backend.ranker.rank(rows[0], rows[1:], options.metric, most, options.threshold)
    best = [*zip(ranking.indices.tolist(), ranking.scores, strict=True)]
    reranker = None
    if reranks and embedded:
        reranker, best, truncated = await rerank(backend.service, query, [index for index, _ in best])
        request.state.truncated = len(truncated.union(embedded.table()[2]))
    results: list[Json] = []
    for index, score in best:
        result: Json = {"index": index, "score": score}
        if options.return_candidates:
            result["candidate"] = query.given[index]
        results.append(result)
    return json_response(
        {
            "results": results,
            "metric": ranking.metric,
            **({"reranker": reranker.id} if reranker else {}),
            "model": info.id if info else None,
            "space": info.space if info else options.space,
            "embedded": len(hits) - sum(hits),
            "cacheHits": sum(hits),
            "processingTime": elapsed_ms(request),
        }
    )
