"""`POST /v1/embeddings`, `GET /v1/models` and `/v1/models/{model}`, for OpenAI's clients."""

import re
import time
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from app.api.backend import Backend
from app.api.endpoints.dialect import Asked, Embedded, dialect, encoded, one_of, truncation
from app.api.wire import inputs
from app.api.wire.embeddings import VectorFormat
from app.api.wire.json_response import json_response
from app.config import model_names
from app.errors import ModelNotFound, did_you_mean
from app.schemas.openai import OpenAiEmbeddingRequest, OpenAiEmbeddingResponse
from app.schemas.wire import Json
from app.types import OutputType, ReadOptions
from app.words import Kind

# Voyage's client always sends it, and no other does.
VOYAGE: Final = re.compile(rb'"truncation"\s*:')


def read(body: OpenAiEmbeddingRequest) -> Asked:
    field, side = one_of(body, "truncate", "truncation")
    is_whole, cut = truncation(side)
    _, task = one_of(body, "input_type", "task")
    size, dimensions = one_of(body, "dimensions", "output_dimension")
    param, dtype = one_of(body, "output_dtype", "embedding_type")
    output: OutputType = "float32" if dtype in (None, "float", "base64") else dtype
    return Asked(
        inputs.parse(body.input, are_images=body.modality == "image"),
        body.model,
        ReadOptions(body.prompt_name, task, cut, "prompt_name"),
        VectorFormat(body.normalized, output, dimensions, param, size),
        whole=f"set `{field}` to {'true' if field == 'truncation' else 'END or START'} to truncate it"
        if is_whole
        else "",
        names=(lambda _: "input") if isinstance(body.input, str) else None,
        most=("truncate_prompt_tokens", body.truncate_prompt_tokens),
        late="late_chunking" if body.late_chunking else "",
    )


def write(done: Embedded[OpenAiEmbeddingRequest]) -> Json:
    body, form, info = done.body, done.asked.form, done.info
    vectors = encoded(done.vectors()) if "base64" in (body.encoding_format, body.embedding_type) else done.vectors()
    count = sum(done.tokens)
    answer: Json = {
        "object": "list",
        "data": [{"object": "embedding", "index": i, "embedding": row} for i, row in enumerate(vectors)],
        "model": info.id,
        "usage": {"prompt_tokens": count, "total_tokens": count},
    }
    if body.model in done.backend.args.model_aliases:
        answer["alias"] = body.model
    if done.warning:
        answer["warning"] = done.warning
    if form.output != "float32":
        answer |= {"output_dtype": form.output} | form.range_field(info)
    return answer


async def models(request: Request, backend: Backend) -> Response:
    return json_response({"object": "list", "data": list(_models(backend).values())})


async def model(request: Request, backend: Backend) -> Response:
    name = request.path_params["model"]
    known = _models(backend)
    if (found := model_names.find(name, known)) is None:
        served = f"Served: {', '.join(known) or 'none yet'}.{did_you_mean(name, known)}"
        raise ModelNotFound(f"The model {name!r} is not served here. {served}", "model")
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


ROUTES: Final = tuple(
    dialect(
        path,
        summary,
        OpenAiEmbeddingResponse,
        OpenAiEmbeddingRequest,
        read,
        write,
        example={"model": "all-MiniLM-L6-v2", "input": ["Hello world"], "encoding_format": "float"},
        needs="text",
        errors_as="openai",
        errors_may_be=("voyage",),
        told_by=VOYAGE,
    )
    for path, summary in (
        ("/v1/embeddings", "Embed texts, as in OpenAI's, Voyage's, Jina's and NIM's API."),
        ("/embeddings", "The same, where Infinity has it."),
    )
)
