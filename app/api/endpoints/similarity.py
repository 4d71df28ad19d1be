"""`POST /similarity`: forwards the body (JSON or binary) unparsed to the similarity deployment."""

import re
from typing import Final

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response

from app.api.backend import Backend
from app.api.endpoints import tei
from app.api.wire import bodies
from app.api.wire.embeddings import elapsed_ms
from app.api.wire.json_response import json_response
from app.api.wire.negotiation import NPY, OCTETS
from app.errors import InvalidRequest
from app.schemas.similarity import MatrixOptions
from app.schemas.validation import as_invalid_request
from app.schemas.wire import Json
from app.vectors.binary_body import SHAPE, parse_shape

# In the body of a client of text-embeddings-inference, and in no other.
SENTENCES: Final = re.compile(rb'"source_sentence"\s*:')


async def rank(request: Request, backend: Backend) -> Response:
    limit = backend.args.limits.vector_body
    media = bodies.content_type(request)
    if media in (OCTETS, NPY):
        options = _options(request)
        shape = parse_shape(request.headers.get(SHAPE)) if media == OCTETS else None
        ranking = await backend.ranker.rank_matrix(await bodies.read_array(request, limit), shape, options)
    else:
        alternative = f"or a matrix as {OCTETS} or {NPY}"
        body = await bodies.read_json(request, limit, alternative)
        if len(body) <= backend.args.limits.text_body and SENTENCES.search(body):
            return await tei.similarity(request, backend, body)
        ranking = await backend.ranker.rank_json(body)
    answer: Json = {
        "results": [{"index": i, "score": score} for i, score in zip(ranking.indices, ranking.scores, strict=True)],
        "metric": ranking.metric,
        "processingTime": elapsed_ms(request),
    }
    if ranking.space is not None:
        answer["space"] = ranking.space
    return json_response(answer)


def _options(request: Request) -> MatrixOptions:
    given = request.query_params
    for name in given:
        if len(given.getlist(name)) > 1:
            raise InvalidRequest(f"`{name}` is given more than once.", name)
    try:
        return MatrixOptions.model_validate_strings(dict(given), by_alias=True, by_name=False)
    except ValidationError as error:
        raise as_invalid_request(error, MatrixOptions) from None
