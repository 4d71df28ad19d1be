"""OpenAI's embeddings API, field by field; additional fields are described as extensions."""

from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field

from app.schemas import wire
from app.schemas.compatibility import CompatibleWire, Task, Truncate
from app.schemas.wire import ABOUT_INPUTS, TEXT, TEXTS_OR_IDS, Count, ModelName, PromptName, SnakeWire
from app.types import OutputType
from app.words import Kind

OBJECTS: Final[list[wire.Json]] = [
    wire.closed(
        {kind: {**TEXT, "description": "What to embed."}},
        kind,
        description="Extension: for CLIP models, images as in ImageRequest.",
    )
    for kind in ("text", "image", "url", "bytes")
]

# Parsed in `app.api.wire.inputs`.
Input = Annotated[
    Any,
    wire.any_of(
        [*TEXTS_OR_IDS, {"type": "array", "minItems": 1, "items": {"anyOf": [TEXT, *OBJECTS]}}],
        f"{ABOUT_INPUTS} Extension: {{text}} and {{image}} objects; {{url}} and {{bytes}} of images, as for Jina.",
    ),
]


class OpenAiEmbeddingRequest(CompatibleWire):
    input: Input
    model: ModelName = None
    encoding_format: Literal["float", "base64"] | None = Field(
        None, description="base64: the vector's little-endian bytes."
    )
    dimensions: Annotated[int, Field(ge=0), wire.Whole] | None = Field(
        None,
        description="Shorten vectors to this many numbers and scale them to length 1 again; 0, as Infinity's clients "
        "send it: all.",
    )
    user: Any = Field(None, description="Accepted and ignored.")
    truncate_prompt_tokens: Annotated[
        int | None,
        Field(ge=-1, description="At least the tokens of each input, or -1: nothing may be cut by it."),
        wire.Whole,
    ] = None
    output_dtype: Literal[OutputType, "float"] | None = Field(
        None, description="Extension. As outputType of TextRequest; float is float32."
    )
    late_chunking: bool = Field(
        False,
        description="As in Jina's API: the texts are one document, joined by spaces and read at once; each vector is "
        "the mean of one text's token vectors. For mean-pooled models.",
    )
    prompt_name: PromptName = None
    input_type: Task = None
    task: Task = Field(None, description="The same, as Jina's clients call it.")
    output_dimension: Count | None = Field(None, description="`dimensions`, as Voyage's clients call it.")
    embedding_type: Annotated[
        Literal["float", "base64", "int8", "uint8", "binary", "ubinary"] | None,
        BeforeValidator(lambda value: value[0] if isinstance(value, list) and len(value) == 1 else value),
    ] = Field(None, description="`encoding_format` and `output_dtype` in one, as Jina's clients send it.")
    normalized: bool = Field(True, description="As `normalize` of TextRequest.")
    truncate: Truncate = None
    truncation: bool | None = Field(None, description="`truncate`, as Voyage's clients call it.")
    modality: Literal["text", "image"] = Field(
        "text", description="image: the strings in `input` are images as in ImageRequest, as Infinity's clients send."
    )


class OpenAiEmbedding(SnakeWire):
    object: Literal["embedding"] = Field(description="Always this.")
    index: int = Field(description="Index of the input.")
    embedding: list[float] | str = Field(description="The vector; a string if base64 was requested.")


class OpenAiUsage(SnakeWire):
    prompt_tokens: int = Field(description="Tokens of all inputs, including special tokens.")
    total_tokens: int = Field(description="The same.")


class OpenAiEmbeddingResponse(SnakeWire):
    object: Literal["list"] = Field(description="Always this.")
    data: list[OpenAiEmbedding] = Field(description="One per input, in order.")
    model: str = Field(description="Full name of the model, also if an alias was requested.")
    usage: OpenAiUsage = Field(description="The tokens used.")
    alias: str | None = Field(None, description="Extension: the requested alias.")
    warning: str | None = Field(None, description="Extension: a possible problem with the request.")
    output_dtype: OutputType | None = Field(None, description="Extension: the output type, if it is not float32.")
    range: list[float] | None = Field(
        None, description="Extension: int8, uint8: the range of values that the levels cover."
    )


class OpenAiModel(SnakeWire):
    id: str = Field(description="A value for `model`.")
    object: Literal["model"] = Field(description="Always this.")
    created: int = Field(description="Unix seconds of the service's start; the model's creation is not known.")
    owned_by: str = Field(description="The model's owner on the hub; for an alias: the model that it stands for.")
    kind: Kind = Field(description="Extension: what it makes. image: vectors of texts too; rerank: scores of pairs.")


class OpenAiModels(SnakeWire):
    object: Literal["list"] = Field(description="Always this.")
    data: list[OpenAiModel] = Field(description="All models that are ready, including aliases.")


class OpenAiError(SnakeWire):
    message: str = Field(description="What is wrong and how to fix it.")
    type: str = Field(description="invalid_request_error, rate_limit_error or server_error.")
    param: str | None = Field(description="The field at fault.")
    code: str | None = Field(description="For programs, e.g. model_not_found.")


class OpenAiErrorResponse(SnakeWire):
    error: OpenAiError = Field(description="What went wrong.")
