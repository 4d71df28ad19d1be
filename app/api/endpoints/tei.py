"""`POST /embed` (and `/`), `GET /info`, `POST /tokenize` and `/decode`, for clients of text-embeddings-inference."""

from dataclasses import replace
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from app.api.backend import Backend
from app.api.endpoints.dialect import Asked, dialect, embed
from app.api.endpoints.operations import VERSION
from app.api.endpoints.rerank import cut_of
from app.api.route import ENCODES
from app.api.wire import bodies, inputs
from app.api.wire.embeddings import VectorFormat
from app.api.wire.json_response import json_response
from app.errors import EmptyInput, InvalidItem, PayloadTooLarge
from app.schemas.tei import (
    TeiDecodeRequest,
    TeiEmbedRequest,
    TeiEmbedResponse,
    TeiSimilarityRequest,
    TeiTokenizeRequest,
    TeiTruncated,
)
from app.service import prompts
from app.service.encoder import ready
from app.types import ReadOptions
from app.vectors.similarity import cosines

DTYPES: Final = {"f32": "float32", "bf16": "bfloat16", "f16": "float16"}
POOLINGS: Final = {"lasttoken": "last_token"}


def read(body: TeiEmbedRequest) -> Asked:
    asked = inputs.texts_or_ids(body.inputs, "inputs")
    form = VectorFormat(body.normalize, "float32", body.dimensions)
    return replace(
        _asked(body, asked, "inputs"), form=form, names=(lambda _: "inputs") if isinstance(body.inputs, str) else None
    )


def _asked(body: TeiTruncated, given: inputs.Inputs, param: str) -> Asked:
    reading = ReadOptions(body.prompt_name, None, cut_of(body.truncation_direction), "prompt_name")
    whole = "set `truncate` to true to truncate it" if body.truncate is False else ""
    return Asked(given, body.model, reading, param=param, whole=whole)


async def similarity(request: Request, backend: Backend, raw: bytes) -> Response:
    """The cosines of a sentence with others, in order; `raw` is a body of `/similarity` that has them."""
    request.state.dialect = "tei"
    body = bodies.parse(raw, TeiSimilarityRequest)
    headers = body.ignored_header()
    texts = inputs.Inputs([*body.inputs.sentences, body.inputs.source_sentence])
    asked, last = _asked(body, texts, "inputs.sentences"), len(body.inputs.sentences)
    names = lambda i: f"inputs.sentences.{i}" if i < last else "inputs.source_sentence"  # noqa: E731 - as a field
    rows = (await embed(request, backend, body, replace(asked, names=names))).rows
    return json_response(cosines(rows[-1], rows[:-1]), headers=headers)


async def tokenize(request: Request, backend: Backend) -> Response:
    limits = backend.args.limits
    body = bodies.parse(await bodies.read_json(request, limits.tokenize_body), TeiTokenizeRequest)
    headers = body.ignored_header()
    asked = inputs.texts(body.inputs, "inputs")
    if len(asked.texts) > limits.texts:
        raise PayloadTooLarge(f"{len(asked.texts)} texts; at most {limits.texts:,} in one request.", "inputs")
    encoder = backend.service.encoder(body.model, "text")
    prompt = prompts.choose(ready(encoder), ReadOptions(body.prompt_name, param="prompt_name"))
    tokens = await encoder.tokens(asked.texts, prompt, body.add_special_tokens)
    return json_response(tokens, headers=headers)


async def decode(request: Request, backend: Backend) -> Response:
    limits = backend.args.limits
    body = bodies.parse(await bodies.read_json(request, limits.tokenize_body), TeiDecodeRequest)
    headers = body.ignored_header()
    arrays = inputs.ids(body.ids, "ids")
    if len(arrays) > limits.texts:
        raise PayloadTooLarge(f"{len(arrays)} lists of ids; at most {limits.texts:,} in one request.", "ids")
    encoder = backend.service.encoder(body.model, "text")
    ready(encoder)
    names = [f"ids.{i}" for i in range(len(arrays))] if isinstance(body.ids[0], list) else ["ids"]
    return json_response(await encoder.decode(arrays, names, body.skip_special_tokens), headers=headers)


async def info(request: Request, backend: Backend) -> Response:
    encoder = backend.service.encoder(None, "text")
    about = ready(encoder)
    settings = next(model for model in backend.args.text_models if model.name == encoder.state.id)
    return json_response(
        {
            "model_id": about.id,
            "model_sha": about.revision,
            "model_dtype": DTYPES.get(about.precision, about.precision),
            "served_model_name": about.id,
            "model_type": {"embedding": {"pooling": "+".join(POOLINGS.get(mode, mode) for mode in about.pooling)}},
            "max_concurrent_requests": backend.args.ingress.max_ongoing_requests,
            "max_input_length": about.max_tokens,
            "max_batch_tokens": settings.batch_tokens,
            "max_batch_requests": settings.batch_size,
            "max_client_batch_size": backend.args.limits.texts,
            "auto_truncate": True,
            "tokenization_workers": settings.workers,
            "version": VERSION,
            "sha": None,
            "docker_label": None,
        }
    )


ROUTES: Final = tuple(
    dialect(
        path,
        summary,
        TeiEmbedResponse,
        TeiEmbedRequest,
        read,
        lambda done: done.vectors(),
        errors=(*ENCODES, EmptyInput, InvalidItem),
        example={"inputs": ["Hello world"]},
        body_limit="text_body",
        needs="text",
        errors_as="tei",
    )
    for path, summary in (
        ("/embed", "Embed texts, as in text-embeddings-inference."),
        ("/", "The same as /embed, for clients that only know the base URL."),
    )
)
