"""`POST /v1/embed` and `/v2/embed`, for Cohere's clients."""

from dataclasses import replace
from functools import partial
from typing import Any, Final

from app.api.endpoints.dialect import Asked, Embedded, dialect, encoded, truncation
from app.api.wire import inputs
from app.api.wire.embeddings import VectorFormat
from app.errors import InvalidRequest
from app.schemas.cohere import CohereEmbedRequest, CohereEmbedResponse
from app.schemas.wire import Json
from app.service.batch import Item
from app.types import ReadOptions

FIELDS: Final = ("texts", "images", "inputs")


def read(body: CohereEmbedRequest) -> Asked:
    sent = [name for name in FIELDS if getattr(body, name) is not None]
    if len(sent) != 1:
        raise InvalidRequest("Send one of `texts`, `images` and `inputs`.", sent[1] if sent else "texts")
    [param] = sent
    given = inputs.Inputs(body.texts or (), objects=[Item("image", image, None) for image in body.images or ()])
    whole, cut = truncation(body.truncate)
    return Asked(
        inputs.contents(body.inputs, "inputs") if param == "inputs" else given,
        body.model,
        ReadOptions(None, body.input_type, cut),
        VectorFormat(True, "float32", body.output_dimension, "embedding_types", "output_dimension"),
        param,
        whole="set `truncate` to END or START to truncate it" if whole else "",
        most=("max_tokens", body.max_tokens),
    )


def write(done: Embedded[CohereEmbedRequest], *, version: str) -> Json:
    body, given = done.body, done.asked.inputs
    types = list(dict.fromkeys(body.embedding_types or ["float"]))
    found: dict[str, Any] = {
        kind: encoded(done.vectors())
        if kind == "base64"
        else done.vectors(output="float32" if kind == "float" else kind)
        for kind in types
    }
    plain = version == "1" and body.embedding_types is None
    units = {"input_tokens": sum(done.tokens), "images": sum(item.kind == "image" for item in given.objects)}
    answer: Json = {
        "response_type": "embeddings_floats" if plain else "embeddings_by_type",
        "id": done.id,
        "embeddings": found["float"] if plain else found,
        "texts": list(given.texts),
        "meta": {"api_version": {"version": version}, "billed_units": units},
        "model": done.info.id,
    }
    if done.warning:
        answer["meta"]["warnings"] = [done.warning]
    if {"int8", "uint8"} & {*types}:
        answer |= replace(done.asked.form, output="int8").range_field(done.info)
    return answer


ROUTES: Final = tuple(
    dialect(
        f"/v{version}/embed",
        f"Embed texts or images, as in version {version} of Cohere's API.",
        CohereEmbedResponse,
        CohereEmbedRequest,
        read,
        partial(write, version=version),
        example={"texts": ["Hello world"], "input_type": "search_document", "embedding_types": ["float", "int8"]},
        errors_as="cohere",
    )
    for version in ("1", "2")
)
