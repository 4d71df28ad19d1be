"""`POST /embed/chunks`, and documents in chunks as Voyage's clients send them."""

from functools import partial
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from app import errors
from app.api.backend import Backend
from app.api.endpoints.dialect import encoded
from app.api.route import ENCODES, Route
from app.api.wire import bodies
from app.api.wire.embeddings import VectorFormat, about, record
from app.api.wire.json_response import json_response
from app.errors import InvalidRequest
from app.schemas.chunks import ChunksRequest, ChunksResponse, ContextualizedRequest, ContextualizedResponse
from app.schemas.wire import Json
from app.service.chunks import ChunkRule, embed_chunks, embed_documents
from app.types import ReadOptions


async def embed(request: Request, backend: Backend) -> Response:
    body = bodies.parse(await bodies.read_json(request, backend.args.limits.chunk_body), ChunksRequest)
    if (body.text is None) == (body.texts is None):
        raise InvalidRequest("Send one of `text` and `texts`.", "texts")
    texts = body.texts or [body.text or ""]
    names = [f"texts.{i}" for i in range(len(texts))] if body.texts else ["text"]
    if body.size is not None and body.overlap >= body.size:
        raise InvalidRequest(f"`overlap` must be less than `size`, which is {body.size}.", "overlap")
    rule, reading = ChunkRule(body.size, body.overlap, body.by), ReadOptions(body.prompt_name, body.input_type)
    done = await embed_chunks(backend.service, texts, names, rule, body.model, reading, late=body.late)
    form = VectorFormat(body.normalize, body.output_type)
    record(request, done.result)
    rows, tokens, truncated = done.result.table()
    vectors = iter(form.of(rows, done.result.info))
    results: list[Json] = []
    for text, spans, windows in zip(texts, done.spans, done.windows, strict=True):
        chunks = [{"text": text[a:b], "start": a, "end": b, "embedding": next(vectors)} for a, b in spans]
        results.append({"chunks": chunks} | ({"windows": windows} if body.late else {}))
    return json_response({"results": results} | about(request, done.result, tokens, truncated, form))


async def contextualized(request: Request, backend: Backend) -> Response:
    body = bodies.parse(await bodies.read_json(request, backend.args.limits.chunk_body), ContextualizedRequest)
    headers = body.ignored_header()
    for i, document in enumerate(body.inputs):
        if not document:
            raise errors.EmptyInput(f"`inputs.{i}` must have at least one chunk.", f"inputs.{i}")
    reading = ReadOptions(input_type=body.input_type)
    done = await embed_documents(
        backend.service, body.inputs, "inputs", "inputs.{}.{}".format, body.model, reading, "model"
    )
    record(request, done.result)
    rows, tokens, _ = done.result.table()
    output = "float32" if body.output_dtype == "float" else body.output_dtype
    form = VectorFormat(True, output, body.output_dimension, "output_dtype", "output_dimension")
    rows = form.of(rows, done.result.info)
    vectors = iter(encoded(rows) if body.encoding_format == "base64" else rows)
    documents: list[Json] = []
    for index, spans in enumerate(done.spans):
        data = [{"object": "embedding", "index": i, "embedding": next(vectors)} for i in range(len(spans))]
        documents.append({"object": "list", "data": data, "index": index})
    answer = {"object": "list", "data": documents, "model": done.result.info.id, "usage": {"total_tokens": sum(tokens)}}
    return json_response(
        answer | ({"warning": done.notes[0]} if done.notes else {}) | form.range_field(done.result.info),
        headers=headers,
    )


_POST: Final = partial(Route, "POST", scope="embed", body_limit="chunk_body", needs="text")
TEXT: Final = "The giant panda is a bear. It lives in China's mountains. It eats bamboo."
ROUTES: Final = (
    _POST(
        "/embed/chunks",
        embed,
        "Cut long texts into chunks and embed these.",
        ChunksResponse,
        ChunksRequest,
        errors=(*ENCODES, errors.InvalidItem),
        example={"text": TEXT, "size": 16, "by": "sentences"},
    ),
    _POST(
        "/v1/contextualizedembeddings",
        contextualized,
        "Embed the chunks of documents, each with what it knows of its document, as in Voyage's API.",
        ContextualizedResponse,
        ContextualizedRequest,
        errors=(*ENCODES, errors.InvalidItem, errors.EmptyInput),
        example={"inputs": [["The giant panda is a bear.", "It eats bamboo."]]},
        errors_as="voyage",
    ),
)
