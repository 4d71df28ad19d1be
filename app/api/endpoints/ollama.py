"""`POST /api/embed` and `/api/embeddings`, `GET /api/tags` and `POST /api/show`, for Ollama's clients."""

import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from app.api.backend import Backend
from app.api.endpoints.dialect import Asked, Embedded, dialect
from app.api.route import BODY, MODEL, Route
from app.api.wire import bodies, inputs
from app.api.wire.embeddings import VectorFormat, elapsed_ms
from app.api.wire.json_response import json_response
from app.errors import InvalidRequest, ModelNotFound
from app.schemas import ollama as schemas
from app.schemas.wire import Json
from app.service.encoder import Encoder, ready
from app.words import Kind

ROOT: Final = "general.architecture"
KINDS: Final[tuple[Kind, ...]] = ("image", "rerank", "text", "sparse", "token")


def read(body: schemas.OllamaEmbedRequest) -> Asked:
    return Asked(
        inputs.texts(body.input, "input"),
        _name(body.model),
        form=VectorFormat(dimensions=body.dimensions),
        names=(lambda _: "input") if isinstance(body.input, str) else None,
        whole="set `truncate` to true to truncate it" if body.truncate is False else "",
        most=("num_ctx", body.num_ctx),
    )


def write(done: Embedded[schemas.OllamaEmbedRequest]) -> Json:
    return {
        "model": done.info.id,
        "embeddings": done.vectors(),
        "total_duration": round(elapsed_ms(done.request) * 1e6),
        "load_duration": 0,
        "prompt_eval_count": sum(done.tokens),
    }


def read_one(body: schemas.OllamaEmbeddingsRequest) -> Asked:
    given = inputs.Inputs([body.prompt])
    return Asked(given, _name(body.model), param="prompt", names=lambda _: "prompt", most=("num_ctx", body.num_ctx))


async def tags(request: Request, backend: Backend) -> Response:
    encoders = [one for one in backend.service.encoders.values() if one.state.status == "ready"]
    models = [{"name": (about := _about(one, backend))["model"], **about, "size": 0} for one in encoders]
    return json_response({"models": models})


async def show(request: Request, backend: Backend) -> Response:
    raw = await bodies.read_json(request, backend.args.limits.clear_body)
    body = bodies.parse(raw, schemas.OllamaShowRequest)
    if not (name := body.model or body.name):
        raise InvalidRequest("`model` is missing.", "model")
    encoder = _encoder(backend, _name(name))
    info, about = ready(encoder), _about(encoder, backend)
    family = about["details"]["family"]
    known = {ROOT: family, f"{family}.embedding_length": info.dimensions, f"{family}.context_length": info.max_tokens}
    return json_response(
        {
            "modified_at": about["modified_at"],
            "details": about["details"],
            "model_info": known | {"general.basename": info.id},
            "capabilities": ["rerank" if family == "rerank" else "embedding"],
        },
        headers=body.ignored_header(),
    )


def _name(model: str | None) -> str | None:
    """Ollama's clients end a name with a tag."""
    return model and model.removesuffix(":latest")


def _encoder(backend: Backend, name: str | None) -> Encoder:
    for kind in KINDS if name else ():
        with suppress(ModelNotFound):
            return backend.service.encoder(name, kind)
    return backend.service.encoder(name, "text")


def _about(encoder: Encoder, backend: Backend) -> Json:
    info = ready(encoder)
    started = datetime.fromtimestamp(time.time() - (time.monotonic() - backend.started), UTC)
    return {
        "model": info.id,
        "modified_at": started.isoformat(timespec="seconds"),
        "digest": info.fingerprint,
        "details": {"format": info.backend, "family": encoder.kinds[-1], "quantization_level": info.precision},
    }


ROUTES: Final = (
    dialect(
        "/api/embed",
        "Embed texts, as in Ollama's API.",
        schemas.OllamaEmbedResponse,
        schemas.OllamaEmbedRequest,
        read,
        write,
        example={"model": "all-MiniLM-L6-v2", "input": ["Hello world"]},
        needs="text",
        errors_as="plain",
    ),
    dialect(
        "/api/embeddings",
        "Embed a text, as in Ollama's older API.",
        schemas.OllamaEmbeddingsResponse,
        schemas.OllamaEmbeddingsRequest,
        read_one,
        lambda done: {"embedding": done.vectors()[0]},
        example={"model": "all-MiniLM-L6-v2", "prompt": "Hello world"},
        needs="text",
        errors_as="plain",
    ),
    Route(
        "GET",
        "/api/tags",
        tags,
        "The served models, as in Ollama's API.",
        schemas.OllamaTags,
        scope="read",
        errors_as="plain",
    ),
    Route(
        "POST",
        "/api/show",
        show,
        "One model, as in Ollama's API.",
        schemas.OllamaShowResponse,
        schemas.OllamaShowRequest,
        (*BODY, *MODEL),
        example={"model": "all-MiniLM-L6-v2"},
        scope="read",
        body_limit="clear_body",
        errors_as="plain",
    ),
)
