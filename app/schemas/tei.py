"""text-embeddings-inference's API, field by field; additional fields are described as extensions."""

from typing import Annotated, Any, Literal

from pydantic import Field, RootModel

from app.schemas.compatibility import CompatibleWire
from app.schemas.wire import ABOUT_INPUTS, TEXTS_OR_IDS, Count, Json, ModelName, PromptName, SnakeWire, Text, any_of

# Parsed in `app.api.wire.inputs`.
Inputs = Annotated[Any, any_of(TEXTS_OR_IDS, ABOUT_INPUTS)]
# TEI accepts both spellings.
Side = Annotated[
    Literal["right", "left", "Right", "Left"] | None,
    Field(
        description="right: the end of a text that is too long is cut off. Default: the side that the model's files "
        "say; right for nearly all."
    ),
]


class TeiOptions(CompatibleWire):
    NESTED = ("options", "parameters")

    options: Json | None = Field(None, description="Its fields count as if they stood beside it.")
    parameters: Json | None = Field(None, description="The same.")


class TeiRequest(TeiOptions):
    prompt_name: PromptName = None
    model: ModelName = None


class TeiTruncated(TeiRequest):
    truncate: bool | None = Field(
        None, description="Default true: texts that are too long are truncated. False: they are an error."
    )
    truncation_direction: Side = None


class TeiEmbedRequest(TeiTruncated):
    inputs: Inputs
    normalize: bool = Field(
        True, description="Scale each embedding to length 1. False: the model's own output as published."
    )
    dimensions: Count | None = Field(None, description="Shorten vectors to this many numbers.")


class TeiEmbedResponse(RootModel[list[list[float]]]):
    """One vector per input, in order."""


class TeiSentences(SnakeWire):
    source_sentence: Text
    sentences: list[Text] = Field(min_length=1, description="1 to <texts> texts, with the source sentence.")


class TeiSimilarityRequest(TeiTruncated):
    """As in text-embeddings-inference."""

    inputs: TeiSentences = Field(description="The texts to compare.")


class TeiTokenizeRequest(TeiRequest):
    inputs: Annotated[
        Any,
        any_of(
            TEXTS_OR_IDS[:2], "A text or 1 to <texts> texts, at most <tokenize_body> bytes of body; never truncated."
        ),
    ]
    add_special_tokens: bool = Field(True, description="Include the special tokens around a text.")


class TeiToken(SnakeWire):
    id: int = Field(description="In the model's vocabulary.")
    text: str = Field(description="The part of the input that it stands for, or its name if it is special.")
    special: bool = Field(description="Whether the tokenizer added it.")
    start: int | None = Field(description="Index of its first byte in the input, including the prompt; null: special.")
    stop: int | None = Field(description="Index after its last byte.")


class TeiTokenizeResponse(RootModel[list[list[TeiToken]]]):
    """The tokens of each input, in order."""


class TeiDecodeRequest(TeiOptions):
    ids: Annotated[
        Any,
        any_of(TEXTS_OR_IDS[2:], "Token ids, or 1 to <texts> lists of them, at most <tokenize_body> bytes of body."),
    ]
    skip_special_tokens: bool = Field(True, description="Leave out the special tokens around a text.")
    model: ModelName = None


class TeiDecodeResponse(RootModel[list[str]]):
    """The text of each list of ids, in order."""


class TeiPooling(SnakeWire):
    pooling: str = Field(description="How token vectors are pooled: cls, mean, max, last_token …")


class TeiModelType(SnakeWire):
    embedding: TeiPooling = Field(description="All models here are embedding models.")


class TeiInfo(SnakeWire):
    model_id: str = Field(description="Full name of the default text model.")
    model_sha: str | None = Field(description="Its revision, if it came from a hub.")
    model_dtype: str = Field(description="The precision of inference: float32, bfloat16, float16 or int8.")
    served_model_name: str = Field(description="The same as model_id.")
    model_type: TeiModelType = Field(description="Its kind.")
    max_concurrent_requests: int = Field(description="Maximum concurrent requests per ingress replica.")
    max_input_length: int = Field(description="Maximum tokens per text, including special tokens.")
    max_batch_tokens: int = Field(description="Maximum padded tokens per model run.")
    max_batch_requests: int | None = Field(description="Maximum texts per model run.")
    max_client_batch_size: int = Field(description="Maximum inputs per request.")
    auto_truncate: bool = Field(description="The default of `truncate`.")
    tokenization_workers: int = Field(description="Tokenizer threads per replica.")
    version: str = Field(description="The version of this service (not of TEI).")
    sha: str | None = Field(description="Always null.")
    docker_label: str | None = Field(description="Always null.")


class TeiErrorResponse(SnakeWire):
    error: str = Field(description="What is wrong and how to fix it.")
    error_type: Literal["Unhealthy", "Backend", "Overloaded", "Validation", "Tokenizer", "Empty"] = Field(
        description="For programs."
    )
