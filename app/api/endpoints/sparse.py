"""`POST /embed_sparse`, for clients of text-embeddings-inference, and `/embed/text` where a sparse encoder is named."""

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
from app.schemas.sparse import TeiSparseResponse, TeiTextsRequest
from app.service.result import EmbeddingResult
from app.types import Kind, ReadOptions
from app.vectors.sparse import unpack_sparse


async def embed_sparse(request: Request, backend: Backend) -> Response:
    rows, headers = await tei_rows(request, backend, "sparse")
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


async def tei_rows(request: Request, backend: Backend, kind: Kind) -> tuple[list[bytes], dict[str, str]]:
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
    return rows, headers


ROUTES: Final = (
    Route(
        "POST",
        "/embed_sparse",
        embed_sparse,
        "The sparse vectors of texts, as in text-embeddings-inference.",
        TeiSparseResponse,
        TeiTextsRequest,
        (*ENCODES, EmptyInput, InvalidItem),
        example={"inputs": "Hello world"},
        scope="embed",
        body_limit="text_body",
        needs="sparse",
        errors_as="tei",
    ),
)
