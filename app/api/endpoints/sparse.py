"""`POST /embed_sparse` and `/embed_all`, for clients of text-embeddings-inference, and `/embed/text` where a sparse
encoder is named."""

from functools import partial
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from app.api.backend import Backend
from app.api.endpoints.rerank import cut_of
from app.api.route import ENCODES, Route
from app.api.wire import bodies, inputs
from app.api.wire.embeddings import about, record
from app.api.wire.json_response import json_response
from app.api.wire.negotiation import JSON
from app.errors import EmptyInput, InvalidItem, InvalidRequest, NotAcceptable
from app.schemas.embeddings import TextRequest
from app.schemas.ragged import TeiSparseResponse, TeiTextsRequest, TeiTokenVectorsResponse
from app.service.result import EmbeddingResult
from app.types import ModelInfo, ReadOptions
from app.vectors.ragged import unpack_rows, unpack_sparse
from app.words import Kind


async def embed_sparse(request: Request, backend: Backend) -> Response:
    rows, _, headers = await _rows(request, backend, "sparse")
    vectors = [zip(*unpack_sparse(row), strict=True) for row in rows]
    return json_response([[{"index": i, "value": x} for i, x in row] for row in vectors], headers=headers)


async def embed_text(
    request: Request, backend: Backend, body: TextRequest, reading: ReadOptions, media: str
) -> Response:
    if media != JSON:
        raise NotAcceptable("Sparse vectors are answered as JSON only: accept application/json.", "accept")
    if body.output_type != "float32":
        raise InvalidRequest("Sparse vectors are float32: leave out `outputType`.", "outputType")
    if body.normalize and "normalize" in body.model_fields_set:
        raise InvalidRequest("Sparse vectors are as the model makes them: leave out `normalize`.", "normalize")
    result = await backend.service.embed_texts(body.texts, body.model, reading=reading, kind="sparse")
    record(request, result)
    rows, tokens, truncated = result.rows()
    vectors = [dict(zip(("indices", "values"), unpack_sparse(row), strict=True)) for row in rows]
    return json_response({"embeddings": [], "sparseEmbeddings": vectors} | about(request, result, tokens, truncated))


async def embed_all(request: Request, backend: Backend) -> Response:
    rows, info, headers = await _rows(request, backend, "token")
    return json_response([unpack_rows(row, info.dimensions) for row in rows], headers=headers)


async def _rows(request: Request, backend: Backend, kind: Kind) -> tuple[list[bytes], ModelInfo, dict[str, str]]:
    """What a model of this kind makes of a request's texts, and the headers of the answer."""
    body = bodies.parse(await bodies.read_json(request, backend.args.limits.text_body), TeiTextsRequest)
    headers = body.ignored_header()
    texts = inputs.texts_or_ids(body.inputs, "inputs", "a string or a list of strings").texts
    if not texts:
        raise InvalidRequest("`inputs` must be a string or a list of strings.", "inputs")
    reading = ReadOptions(body.prompt_name, body.input_type, cut_of(body.truncation_direction), "prompt_name")
    result: EmbeddingResult = await backend.service.embed_texts(texts, body.model, "inputs", reading, kind)
    record(request, result)
    rows, _, truncated = result.rows()
    if truncated and body.truncate is False:
        which = "inputs" if isinstance(body.inputs, str) else f"inputs.{truncated[0]}"
        most = result.info.max_tokens
        raise InvalidItem(f"`{which}` must have at most {most} tokens; set `truncate` to true to truncate it.", which)
    return rows, result.info, headers


_TEI = partial(
    Route, "POST", request=TeiTextsRequest, errors=(*ENCODES, EmptyInput, InvalidItem), scope="embed", truncates=True
)
_ROUTE = partial(_TEI, example={"inputs": "Hello world"}, body_limit="text_body", errors_as="tei")
ROUTES: Final = (
    _ROUTE(
        path="/embed_sparse",
        handler=embed_sparse,
        summary="The sparse vectors of texts, as in text-embeddings-inference.",
        response=TeiSparseResponse,
        needs="sparse",
    ),
    _ROUTE(
        path="/embed_all",
        handler=embed_all,
        summary="The vectors of all tokens of texts, as in text-embeddings-inference.",
        response=TeiTokenVectorsResponse,
        needs="token",
    ),
)
