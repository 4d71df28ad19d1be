"""`POST /v1/multimodalembeddings`, for Voyage's clients."""

from typing import Final

from app.api.endpoints.dialect import Asked, Embedded, dialect, encoded, one_of
from app.api.wire import inputs
from app.api.wire.embeddings import VectorFormat
from app.schemas.voyage import VoyageMultimodalRequest, VoyageMultimodalResponse
from app.schemas.wire import Json
from app.types import OutputType, ReadOptions


def read(body: VoyageMultimodalRequest) -> Asked:
    output: OutputType = "float32" if body.output_dtype is None or body.output_dtype == "float" else body.output_dtype
    return Asked(
        inputs.contents(body.inputs, "inputs"),
        body.model,
        ReadOptions(None, body.input_type),
        VectorFormat(True, output, body.output_dimension, "output_dtype", "output_dimension"),
        "inputs",
        one_space=True,
        whole="set `truncation` to true to truncate it" if body.truncation is False else "",
    )


def write(done: Embedded[VoyageMultimodalRequest]) -> Json:
    is_coded = one_of(done.body, "encoding_format", "output_encoding")[1] == "base64"
    vectors = encoded(done.vectors()) if is_coded else done.vectors()
    kinds = zip(done.asked.inputs.objects, done.tokens, strict=True)
    tokens = sum(count for item, count in kinds if item.kind == "text")
    return {
        "object": "list",
        "data": [{"object": "embedding", "index": i, "embedding": row} for i, row in enumerate(vectors)],
        "model": done.info.id,
        "usage": {"text_tokens": tokens, "image_pixels": 0, "video_pixels": 0, "total_tokens": tokens},
    }


ROUTES: Final = (
    dialect(
        "/v1/multimodalembeddings",
        "Embed texts and images, as in Voyage's API.",
        VoyageMultimodalResponse,
        VoyageMultimodalRequest,
        read,
        write,
        example={"inputs": [{"content": [{"type": "text", "text": "Hello world"}]}], "truncation": True},
        errors_as="voyage",
    ),
)
