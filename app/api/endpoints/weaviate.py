"""`POST /vectors` and `/vectorize`, `GET /meta`, for Weaviate's modules text2vec-transformers and multi2vec-clip."""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from app.api.backend import Backend
from app.api.endpoints.dialect import Asked, Embedded, dialect
from app.api.endpoints.operations import VERSION
from app.api.route import EXAMPLE_PNG, Route
from app.api.wire import inputs
from app.api.wire.embeddings import VectorFormat
from app.api.wire.json_response import json_response
from app.config.settings import MODELS
from app.errors import InvalidRequest
from app.schemas import weaviate as schemas
from app.schemas.wire import Json
from app.service.batch import Item
from app.types import ReadOptions


def read_text(body: schemas.WeaviateTextRequest) -> Asked:
    reading, form = ReadOptions(None, body.task_type), VectorFormat(dimensions=body.dimensions)
    return Asked(inputs.Inputs([body.text]), body.model, reading, form, "text", names=lambda _: "text")


def write_text(done: Embedded[schemas.WeaviateTextRequest]) -> Json:
    if done.body.pooling_strategy == "cls" and done.info.pooling != ("cls",):
        message = f"{done.info.id} does not pool by cls: leave `pooling_strategy` out."
        raise InvalidRequest(message, "pooling_strategy")
    [vector] = done.vectors()
    return {"text": done.body.text, "vector": vector, "dim": len(vector)}


def read_clip(body: schemas.WeaviateClipRequest) -> Asked:
    items = [Item("text", text, None) for text in body.texts] + [Item("image", image, None) for image in body.images]
    if not items:
        raise InvalidRequest("Send `texts` or `images`; not empty.", "texts")
    count = len(body.texts)
    names = lambda index: f"texts.{index}" if index < count else f"images.{index - count}"  # noqa: E731 - as a field
    return Asked(inputs.Inputs(objects=items), body.model, kind="image", param="images", names=names)


def write_clip(done: Embedded[schemas.WeaviateClipRequest]) -> Json:
    vectors, count = done.vectors(), len(done.body.texts)
    return {"textVectors": vectors[:count], "imageVectors": vectors[count:]}


async def meta(request: Request, backend: Backend) -> Response:
    return json_response({"version": VERSION, "models": {kind: backend.service.default_model(kind) for kind in MODELS}})


ROUTES: Final = (
    dialect(
        "/vectors",
        "Embed a text, as Weaviate's text2vec-transformers asks for it.",
        schemas.WeaviateTextResponse,
        schemas.WeaviateTextRequest,
        read_text,
        write_text,
        example={"text": "Hello world", "config": {"pooling_strategy": "masked_mean", "task_type": "query"}},
        body_limit="text_body",
        needs="text",
        errors_as="plain",
    ),
    dialect(
        "/vectorize",
        "Embed texts and images with one model, as Weaviate's multi2vec-clip asks for it.",
        schemas.WeaviateClipResponse,
        schemas.WeaviateClipRequest,
        read_clip,
        write_clip,
        example={"images": [EXAMPLE_PNG]},
        needs="image",
        errors_as="plain",
    ),
    Route(
        "GET",
        "/meta",
        meta,
        "The default models, as Weaviate asks for them.",
        schemas.WeaviateMeta,
        scope="read",
        errors_as="plain",
    ),
)
