"""`POST /search`: embeds the items, and ranks the candidates in the similarity deployment."""

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from app.api.backend import Backend
from app.api.wire import bodies
from app.api.wire.embeddings import elapsed_ms, record
from app.api.wire.json_response import json_response
from app.schemas.wire import Json
from app.service.hybrid import rank_sparse
from app.service.search import embed, parse, rerank
from app.vectors.fusion import fuse


async def search(request: Request, backend: Backend) -> Response:
    limits = backend.args.limits
    body = await bodies.read_json(request, limits.vector_body)
    query = await asyncio.to_thread(parse, body, limits)
    options = query.options
    (rows, embedded), sparse = await asyncio.gather(embed(backend.service, query), rank_sparse(backend.service, query))
    info = None
    if embedded:
        record(request, embedded)
        info = embedded.info
    hits = embedded.hits if embedded else []
    reranks = options.rerank is not False
    most = options.rerank_top if reranks else options.top_k
    wanted = None if sparse else most
    ranking = await backend.ranker.rank(rows[0], rows[1:], options.metric, wanted, options.threshold)
    best = [*zip(ranking.indices.tolist(), ranking.scores, strict=True)]
    ranks: dict[int, dict[str, int]] = {}
    if sparse and embedded:
        request.state.truncated = len({*embedded.table()[2], *sparse[0].rows()[2]})
        fused = fuse(dense=ranking.indices.tolist(), sparse=sparse[1])[:most]
        best, ranks = [(index, score) for index, score, _ in fused], {index: own for index, _, own in fused}
        hits = hits + sparse[0].hits
    reranker = None
    if reranks and embedded:
        reranker, best, truncated = await rerank(backend.service, query, [index for index, _ in best])
        request.state.truncated = len(truncated.union(embedded.table()[2], sparse[0].rows()[2] if sparse else ()))
    results: list[Json] = []
    for index, score in best:
        result: Json = {"index": index, "score": score} | ({"ranks": ranks[index]} if ranks else {})
        if options.return_candidates:
            result["candidate"] = query.given[index]
        results.append(result)
    return json_response(
        {
            "results": results,
            "metric": ranking.metric,
            **({"sparseModel": sparse[0].info.id} if sparse else {}),
            **({"reranker": reranker.id} if reranker else {}),
            "model": info.id if info else None,
            "space": info.space if info else options.space,
            "embedded": len(hits) - sum(hits),
            "cacheHits": sum(hits),
            "processingTime": elapsed_ms(request),
        }
    )
