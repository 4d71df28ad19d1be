"""text-embeddings-inference's API, field for field; what it has not is named as an extension."""

from typing import Annotated, Any, Literal

from pydantic import Field, RootModel, WithJsonSchema

from app.schemas.wire import Count, ModelName, PromptName, SnakeWire

_TEXT = {"type": "string", "minLength": 1}
_IDS = {"type": "array", "minItems": 1, "items": {"type": "integer", "minimum": 0, "maximum": 2**31 - 1}}

# Told apart in `app.api.wire.inputs`: a union's own messages would name every variant that it is not.
Inputs = Annotated[
    Any,
    WithJsonSchema(
        {
            "anyOf": [
                _TEXT,
                {"type": "array", "minItems": 1, "items": _TEXT},
                _IDS,
                {"type": "array", "minItems": 1, "items": _IDS},
            ],
            "description": "A text, 1 to <texts> texts of at most <text_bytes> bytes, or token ids of the model's own "
            "tokenizer with its special tokens.",
        }
    ),
]
# As TEI reads them: with either initial.
Direction = Literal["right", "left", "Right", "Left"]


class TeiEmbedRequest(SnakeWire):
    inputs: Inputs
    truncate: Annotated[
        bool | None,
        Field(description="Default true: what the model can't read is cut off. False: a text too long is an error."),
    ] = None
    truncation_direction: Annotated[Direction, Field(description="right: a text too long loses its end.")] = "right"
    prompt_name: PromptName = None
    normalize: Annotated[
        bool, Field(description="Scale each embedding to length 1. False: the model's own output as published.")
    ] = True
    dimensions: Annotated[Count | None, Field(description="Cut vectors to so many numbers.")] = None
    model: ModelName = None


class TeiEmbedResponse(RootModel[list[list[float]]]):
    """One vector per input, in order."""


class TeiTokenizeRequest(SnakeWire):
    inputs: Annotated[
        Any,
        WithJsonSchema(
            {
                "anyOf": [_TEXT, {"type": "array", "minItems": 1, "items": _TEXT}],
                "description": "A text or 1 to <texts> texts, at most <tokenize_body> bytes of body. Nothing is cut.",
            }
        ),
    ]
    add_special_tokens: Annotated[bool, Field(description="With those that the model reads around a text.")] = True
    prompt_name: PromptName = None
    model: ModelName = None


class TeiToken(SnakeWire):
    id: int = Field(description="In the model's vocabulary.")
    text: str = Field(description="What it stands for in the input, or its own name where it is special.")
    special: bool = Field(description="Whether the tokenizer added it.")
    start: int | None = Field(description="First byte in the input, a prompt before it included; null: special.")
    stop: int | None = Field(description="The byte behind its last one.")


class TeiTokenizeResponse(RootModel[list[list[TeiToken]]]):
    """The tokens of each input, in order."""


class TeiPooling(SnakeWire):
    pooling: str = Field(description="How vectors of tokens become one: cls, mean, max, last_token …")


class TeiModelType(SnakeWire):
    embedding: TeiPooling = Field(description="All models here are embedding models.")


class TeiInfo(SnakeWire):
    model_id: str = Field(description="Full name of the default text model.")
    model_sha: str | None = Field(description="Its revision, where it came from a hub.")
    model_dtype: str = Field(description="float32, bfloat16 or float16: what it computes in.")
    served_model_name: str = Field(description="The same as model_id.")
    model_type: TeiModelType = Field(description="Its kind.")
    max_concurrent_requests: int = Field(description="Most requests at once, of one ingress replica.")
    max_input_length: int = Field(description="Most tokens of a text, special ones included.")
    max_batch_tokens: int = Field(description="Most padded tokens of one run of the model.")
    max_batch_requests: int | None = Field(description="Most texts of one run of the model.")
    max_client_batch_size: int = Field(description="Most inputs of one request.")
    auto_truncate: bool = Field(description="What `truncate` is by default.")
    tokenization_workers: int = Field(description="Threads that tokenise, per replica.")
    version: str = Field(description="This service's, which is not TEI.")
    sha: str | None = Field(description="Always null.")
    docker_label: str | None = Field(description="Always null.")


class TeiErrorResponse(SnakeWire):
    error: str = Field(description="What is wrong and how to mend it.")
    error_type: Literal["Unhealthy", "Backend", "Overloaded", "Validation", "Tokenizer", "Empty"] = Field(
        description="For programs."
    )
