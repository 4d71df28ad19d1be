"""Ollama's API, as far as it is about embeddings."""

from typing import Annotated, Any, Final

from pydantic import Field

from app.schemas import wire
from app.schemas.compatibility import CompatibleWire
from app.schemas.wire import TEXTS_OR_IDS, Count, Json, ModelName, SnakeWire

_OPTIONS: Final = "Its fields count as if they stood beside it; those that change no vector are ignored."

Details = Annotated[Json, Field(description="Its format (what runs it), family (its kind) and quantization_level.")]


class OllamaRequest(CompatibleWire):
    NESTED = ("options",)

    model: ModelName = None
    options: Json | None = Field(None, description=_OPTIONS)
    num_ctx: Annotated[
        int | None, Field(ge=1, description="At least the tokens of each input: nothing is cut by it."), wire.Whole
    ] = None


class OllamaEmbedRequest(OllamaRequest):
    input: Annotated[Any, wire.any_of(TEXTS_OR_IDS[:2], "A text, or 1 to <texts> texts.")]
    truncate: bool | None = Field(
        None, description="Default true: the end of a text that is too long is cut off. False: it is an error."
    )
    dimensions: Count | None = Field(None, description="Shorten vectors to this many numbers.")


class OllamaEmbeddingsRequest(OllamaRequest):
    prompt: wire.Text


class OllamaShowRequest(CompatibleWire):
    model: ModelName = None
    name: str | None = Field(None, description="The same, as older clients call it.")


class OllamaEmbedResponse(SnakeWire):
    model: str = Field(description="Full name of the model.")
    embeddings: list[list[float]] = Field(description="One vector of length 1 per input, in order.")
    total_duration: int = Field(description="Nanoseconds from receiving the whole request to the response.")
    load_duration: int = Field(description="Always 0: models are loaded before requests.")
    prompt_eval_count: int = Field(description="Tokens of all inputs, including special tokens.")


class OllamaEmbeddingsResponse(SnakeWire):
    embedding: list[float] = Field(description="The vector, of length 1.")


class OllamaModel(SnakeWire):
    name: str = Field(description="Full name of the model.")
    model: str = Field(description="The same.")
    modified_at: str = Field(description="When the service started; the model's own time is not known.")
    size: int = Field(description="Always 0.")
    digest: str = Field(description="The fingerprint of its vectors.")
    details: Details


class OllamaTags(SnakeWire):
    models: list[OllamaModel] = Field(description="All models that are ready.")


class OllamaShowResponse(SnakeWire):
    modified_at: str = Field(description="As in the list of models.")
    details: Details
    model_info: Json = Field(description="Its name, its dimensions and the tokens that it reads.")
    capabilities: list[str] = Field(description="embedding; of a reranker rerank.")
