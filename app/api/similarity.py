"""`POST /similarity`: the body goes to the similarity deployment as it came."""

import time

from starlette.requests import Request
from starlette.responses import Response

from app.api import bodies
from app.api.backend import Backend
from app.api.responses import json_response
from app.schemas import Json


async def rank(request: Request) -> Response:
    started = time.perf_counter()
    backend: Backend = request.app.state.backend
    ranking = await backend.ranker.rank_json(await bodies.read_json(request, backend.args.limits.vector_body))
    answer: Json = {
        "results": [
            {"index": index, "score": score} for index, score in zip(ranking.indices, ranking.scores, strict=True)
        ],
        "metric": ranking.metric,
        "processingTime": round((time.perf_counter() - started) * 1e3, 3),
    }
    if ranking.space is not None:
        answer["space"] = ranking.space
    return json_response(answer)
