"""`POST /v1/embeddings`, `GET /v1/models` and `/v1/models/{model}`, for OpenAI's clients."""

import base64
import time
from collections.abc import Sequence

import numpy as np
from starlette.requests import Request
from starlette.responses import Response

from app.api.backend import Backend
from app.api.wire import bodies, inputs
from app.api.wire.embeddings import VectorFormat, record
from app.api.wire.json_response import json_response
from app.config import model_names
from app.errors import InvalidRequest, ModelNotFound, PayloadTooLarge, did_you_mean
from app.schemas.openai import OpenAiEmbeddingRequest
from app.schemas.wire import Json
from app.service import matryoshka
from app.service.batch import Item, embed_all
from app.service.result import EmbeddingResult
from app.types import Kind, ReadOptions


async def embed(request: Request, backend: Backend) -> Response:
    body = bodies.parse(await bodies.read_json(request, backend.args.limits.image_body), OpenAiEmbeddingRequest)
    headers = body.ignored_header()
    reading = ReadOptions(body.prompt_name, body.input_type, param="prompt_name")
    asked = inputs.parse(body.input)
    if asked.texts:
        result = await backend.service.embed_texts(asked.texts, body.model, param="input", reading=reading)
    elif asked.objects:
        result = await _embed_objects(backend, asked.objects, body.model, reading)
    else:
        result = await backend.service.embed_ids(asked.ids, body.model)
    record(request, result)
    rows, tokens, _ = result.table()
    _require_uncut(tokens, body)
    info = result.info
    form = VectorFormat(True, body.output_dtype, body.dimensions, "output_dtype")
    vectors = form.of(rows, info)
    encoded = body.encoding_format == "base64"
    if encoded:
        vectors = np.ascontiguousarray(vectors, vectors.dtype.newbyteorder("<"))
    count = sum(tokens)
    answer: Json = {
        "object": "list",
        "data": [
            {"object": "embedding", "index": i, "embedding": base64.b64encode(row.data).decode() if encoded else row}
            for i, row in enumerate(vectors)
        ],
        "model": info.id,
        "usage": {"prompt_tokens": count, "total_tokens": count},
    }
    if body.model in backend.args.model_aliases:
        answer["alias"] = body.model
    if body.dimensions and body.dimensions < info.dimensions and not matryoshka.is_trained_for_it(info, backend.args):
        answer["warning"] = (
            f"{info.id} was not trained for shortened vectors: with {body.dimensions} of {info.dimensions} dimensions "
            "search results will be worse."
        )
    if form.output != "float32":
        answer |= {"output_dtype": form.output} | form.range_field(info)
    return json_response(answer, headers=headers)


def _require_uncut(tokens: Sequence[int], body: OpenAiEmbeddingRequest) -> None:
    limit = body.truncate_prompt_tokens
    for i, count in enumerate(tokens):
        if limit is not None and 0 <= limit < count:
            message = f"`input.{i}` has {count} tokens; shorten it: `truncate_prompt_tokens` is not supported."
            raise InvalidRequest(message, "truncate_prompt_tokens")


async def models(request: Request, backend: Backend) -> Response:
    return json_response({"object": "list", "data": list(_models(backend).values())})


async def model(request: Request, backend: Backend) -> Response:
    name = request.path_params["model"]
    known = _models(backend)
    if (found := model_names.find(name, known)) is None:
        raise ModelNotFound(
            f"The model {name!r} is not served here. Served: {', '.join(known)}.{did_you_mean(name, known)}", "model"
        )
    return json_response(known[found])


def _models(backend: Backend) -> dict[str, Json]:
    """The models that are ready, and their aliases."""
    created = int(time.time() - (time.monotonic() - backend.started))
    served: dict[str, str] = {}
    kinds: dict[str, Kind] = {}
    for encoder in backend.service.encoders.values():
        if encoder.state.status == "ready":
            # A backup is listed under its own name: a model is never replaced silently.
            id_ = encoder.state.info.id if encoder.state.info else encoder.state.id
            served[id_] = id_.split("/", 1)[0] if "/" in id_.strip("/") else "local"
            kinds[id_] = encoder.kinds[-1]
    aliases = backend.args.model_aliases.items()
    served |= {alias: target for alias, name in aliases if (target := model_names.find(name, kinds))}
    return {
        id_: {
            "id": id_,
            "object": "model",
            "created": created,
            "owned_by": owner,
            "kind": kinds.get(id_) or kinds[owner],
        }
        for id_, owner in served.items()
    }


async def _embed_objects(
    backend: Backend, items: Sequence[Item], model: str | None, reading: ReadOptions
) -> EmbeddingResult:
    """Embed texts and images with one model."""
    limits = backend.args.limits
    images = sum(item.kind == "image" for item in items)
    if len(items) > limits.texts or images > limits.images:
        raise PayloadTooLarge(
            f"{len(items)} inputs with {images} images; at most {limits.texts:,} inputs and {limits.images} images.",
            "input",
        )
    if model is None:
        model = backend.service.encoder(None, "image" if images else "text").state.id
    return await embed_all(backend.service, items, model, reading, "input.{}".format)
