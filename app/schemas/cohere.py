"""Cohere's embed API, versions 1 and 2."""

from typing import Annotated, Any, Final, Literal

from pydantic import Field

from app.schemas import wire
from app.schemas.compatibility import CompatibleWire, Task, Truncate
from app.schemas.wire import TEXT, Count, ModelName, SnakeWire

EmbeddingType = Literal["float", "int8", "uint8", "binary", "ubinary", "base64"]
IMAGE_URL: Final = wire.closed({"url": TEXT | {"description": "A data URI, or a URL of an allowed host."}}, "url")
PARTS: Final[list[wire.Json]] = [
    {
        "type": "object",
        "description": "A part.",
        "required": [kind],
        "properties": {
            "type": {"const": kind, "description": "Always this."},
            kind: about | {"description": "What to embed."},
        },
        "additionalProperties": False,
    }
    for kind, about in (("text", TEXT), ("image_url", {"anyOf": [TEXT, IMAGE_URL]}), ("image_base64", TEXT))
]


def contents(description: str) -> Any:
    """The schema of inputs with one part each; parsed in `app.api.wire.inputs`."""
    content = {
        "type": "array",
        "minItems": 1,
        "maxItems": 1,
        "items": {"anyOf": PARTS},
        "description": "One part: no model here makes one vector of several.",
    }
    return wire.any_of(
        [{"type": "array", "minItems": 1, "items": wire.closed({"content": content}, "content")}], description
    )


class CohereEmbedRequest(CompatibleWire):
    """`texts`, `images` or `inputs`."""

    texts: list[wire.Text] | None = Field(None, min_length=1, description="1 to <texts> texts.")
    images: list[wire.ImageEntry] | None = Field(
        None,
        min_length=1,
        description="1 to <images> images, as data URIs.",
        json_schema_extra={"maxItems": "<images>"},
    )
    inputs: Annotated[Any, contents("1 to <texts> texts and images as {content: [{type, text}]}.")] = None
    model: ModelName = None
    input_type: Task = None
    embedding_types: list[EmbeddingType] | None = Field(
        None, min_length=1, description="The types of the vectors in the answer; base64: of float's bytes."
    )
    output_dimension: Count | None = Field(None, description="Shorten vectors to this many numbers.")
    max_tokens: Annotated[
        int | None, Field(ge=0, description="At least the tokens of each input: nothing is cut by it."), wire.Whole
    ] = None
    truncate: Truncate = None


class CohereEmbedResponse(SnakeWire):
    response_type: Literal["embeddings_floats", "embeddings_by_type"] = Field(description="The form of `embeddings`.")
    id: str = Field(description="The x-request-id.")
    embeddings: dict[EmbeddingType, list[list[float] | str]] | list[list[float]] = Field(
        description="By type; a list of vectors in version 1 where no types were asked for."
    )
    texts: list[str] = Field(description="The texts; in version 2 only those of `texts`.")
    meta: wire.Json = Field(description="The api_version, billed_units (input_tokens, images) and any warnings.")
    model: str = Field(description="Extension: full name of the model.")
    range: list[float] | None = Field(
        None, description="Extension, with int8 and uint8: the values that the levels cover."
    )
