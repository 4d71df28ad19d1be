"""OpenAI's embeddings API, field for field; what it has not is named as an extension."""

from typing import Annotated, Any, Final, Literal

from pydantic import Field, WithJsonSchema

from app.schemas.wire import Count, Json, Output, PromptName, Purpose, SnakeWire
from app.types import OutputType

ID: Final[Json] = {"type": "integer", "minimum": 0, "maximum": 2**31 - 1}
OBJECTS: Final[list[Json]] = [
    {
        "type": "object",
        "description": "Extension: for CLIP models, images as in ImageRequest.",
        "properties": {kind: {"type": "string", "minLength": 1, "description": "What to embed."}},
        "required": [kind],
        "additionalProperties": False,
    }
    for kind in ("text", "image")
]

# Told apart in `app.api.openai_input`: a union's own messages would name every variant that it is not.
Input = Annotated[
    Any,
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "minLength": 1},
                {"type": "array", "minItems": 1, "items": {"type": "string", "minLength": 1}},
                {"type": "array", "minItems": 1, "items": ID},
                {
                    "type": "array",
                    "minItems": 1,
                    "items": {"type": "array", "minItems": 1, "items": ID},
                },
                {
                    "type": "array",
                    "minItems": 1,
                    "items": {"anyOf": [{"type": "string", "minLength": 1}, *OBJECTS]},
                },
            ],
            "description": "A text, 1 to <texts> texts of at most <text_bytes> bytes, or token ids of the model's own "
            "tokenizer with its special tokens. Extension: {text} and {image} objects.",
        }
    ),
]


class OpenAiEmbeddingRequest(SnakeWire):
    input: Input
    model: str = Field(min_length=1, description="Full or short name of a served model, or an alias.")
    encoding_format: Annotated[
        Literal["float", "base64"] | None, Field(description="base64: the vector's little-endian bytes.")
    ] = None
    dimensions: Annotated[
        Count | None, Field(description="Cut vectors to so many numbers and scale them to length 1 again.")
    ] = None
    user: Annotated[str | None, Field(description="Taken and not used.")] = None
    output_dtype: Annotated[Output, Field(description="Extension. As outputType of TextRequest.")] = "float32"
    prompt_name: PromptName = None
    input_type: Purpose = None


class OpenAiEmbedding(SnakeWire):
    object: Literal["embedding"] = Field(description="Always this.")
    index: int = Field(description="Place of the input.")
    embedding: list[float] | str = Field(description="The vector; a string where base64 was asked for.")


class OpenAiUsage(SnakeWire):
    prompt_tokens: int = Field(description="Tokens of all inputs as the model read them, special tokens included.")
    total_tokens: int = Field(description="The same.")


class OpenAiEmbeddingResponse(SnakeWire):
    object: Literal["list"] = Field(description="Always this.")
    data: list[OpenAiEmbedding] = Field(description="One per input, in order.")
    model: str = Field(description="Full name of the model that made the vectors, also where an alias was asked for.")
    usage: OpenAiUsage = Field(description="What was read.")
    alias: str | None = Field(None, description="Extension: the alias that was asked for.")
    warning: str | None = Field(None, description="Extension: what may be wrong with what was asked for.")
    output_dtype: OutputType | None = Field(None, description="Extension: where it is not float32.")
    range: list[float] | None = Field(None, description="Extension: int8, uint8: the range that has levels.")


class OpenAiModel(SnakeWire):
    id: str = Field(description="What `model` takes.")
    object: Literal["model"] = Field(description="Always this.")
    created: int = Field(description="Unix seconds: when this service started; it does not know when the model was.")
    owned_by: str = Field(description="The model's owner on the hub; of an alias: the model it stands for.")


class OpenAiModels(SnakeWire):
    object: Literal["list"] = Field(description="Always this.")
    data: list[OpenAiModel] = Field(description="Every model that can be asked now, aliases included.")


class OpenAiError(SnakeWire):
    message: str = Field(description="What is wrong and how to mend it.")
    type: str = Field(description="invalid_request_error, rate_limit_error or server_error.")
    param: str | None = Field(description="The field at fault.")
    code: str | None = Field(description="For programs, e.g. model_not_found.")


class OpenAiErrorResponse(SnakeWire):
    error: OpenAiError = Field(description="What went wrong.")
