"""`POST /similarity`: forwards the body (JSON or binary) unparsed to the similarity deployment."""

import time

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response

from app.api.backend import Backend
from app.api.wire import bodies
from app.api.wire.json_response import json_response
from app.api.wire.negotiation import NPY, OCTETS
from app.errors import InvalidRequest
from app.schemas import Json, MatrixOptions
from app.schemas.validation import as_invalid_request
from app.vectors.binary_body import SHAPE, parse_shape
from app.vectors.ranking import Ranking


async def rank(request: Request) -> Response:
    started = time.perf_counter()
    backend: Backend = request.app.state.backend
    limit = backend.args.limits.vector_body
    if bodies.content_type(request) in (OCTETS, NPY):
        ranking = await _rank_matrix(request, backend, limit)
    else:
        alternative = f"or a matrix as {OCTETS} or {NPY}"
        ranking = await backend.ranker.rank_json(await bodies.read_json(request, limit, alternative))
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


async def _rank_matrix(request: Request, backend: Backend, limit: int) -> Ranking:
    options = _options(request)
    shape = parse_shape(request.headers.get(SHAPE)) if bodies.content_type(request) == OCTETS else None
    body = await bodies.read_array(request, limit)
    return await backend.ranker.rank_matrix(body, shape, options)


def _options(request: Request) -> MatrixOptions:
    given = request.query_params.multi_items()
    names = [name for name, _ in given]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InvalidRequest(f"`{twice}` is given more than once.", twice)
    try:
        return MatrixOptions.model_validate_strings(dict(given), by_alias=True, by_name=False)
    except ValidationError as error:
        raise as_invalid_request(error, MatrixOptions) from None
