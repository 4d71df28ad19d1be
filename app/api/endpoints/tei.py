"""`POST /embed` (and `/`), `GET /info` and `POST /tokenize`, for clients of text-embeddings-inference."""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from app.api.backend import Backend
from app.api.endpoints.operations import VERSION
from app.api.wire import bodies, inputs
from app.api.wire.embeddings import VectorFormat, record
from app.api.wire.json_response import json_response
from app.errors import InvalidItem, InvalidRequest, PayloadTooLarge
from app.schemas.tei import TeiEmbedRequest, TeiTokenizeRequest
from app.service import prompts
from app.service.encoder import ready
from app.types import Cut, ReadOptions

DTYPES: Final = {"f32": "float32", "bf16": "bfloat16", "f16": "float16"}
POOLINGS: Final = {"lasttoken": "last_token"}


async def embed(request: Request, backend: Backend) -> Response:
    body = bodies.parse(await bodies.read_json(request, backend.args.limits.text_body), TeiEmbedRequest)
    headers = body.ignored_header()
    asked = inputs.texts_or_ids(body.inputs, "inputs")
    if asked.texts:
        cut: Cut = "end" if body.truncation_direction.lower() == "right" else "start"
        reading = ReadOptions(body.prompt_name, None, cut, "prompt_name")
        result = await backend.service.embed_texts(asked.texts, body.model, param="inputs", reading=reading)
    elif body.prompt_name is not None:
        raise InvalidRequest("`prompt_name` needs texts, not token ids.", "prompt_name")
    else:
        result = await backend.service.embed_ids(asked.ids, body.model, param="inputs")
    record(request, result)
    rows, _, truncated = result.table()
    if truncated and body.truncate is False:
        which = "inputs" if isinstance(body.inputs, str) else f"inputs.{truncated[0]}"
        limit = result.info.max_tokens
        raise InvalidItem(f"`{which}` must have at most {limit} tokens; set `truncate` to true to truncate it.", which)
    vectors = VectorFormat(body.normalize, "float32", body.dimensions).of(rows, result.info)
    return json_response(vectors, headers=headers)


async def tokenize(request: Request, backend: Backend) -> Response:
    limits = backend.args.limits
    body = bodies.parse(await bodies.read_json(request, limits.tokenize_body), TeiTokenizeRequest)
    headers = body.ignored_header()
    asked = inputs.texts_or_ids(body.inputs, "inputs", "a string or a list of strings")
    if not asked.texts:
        raise InvalidRequest("`inputs` must be a string or a list of strings.", "inputs")
    if len(asked.texts) > limits.texts:
        raise PayloadTooLarge(f"{len(asked.texts)} texts; at most {limits.texts:,} in one request.", "inputs")
    encoder = backend.service.encoder(body.model, "text")
    prompt = prompts.choose(ready(encoder), ReadOptions(body.prompt_name, param="prompt_name"))
    tokens = await encoder.tokens(asked.texts, prompt, body.add_special_tokens)
    return json_response(tokens, headers=headers)


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
