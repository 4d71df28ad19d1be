"""What Weaviate's modules text2vec-transformers and multi2vec-clip send."""

from typing import Literal

from pydantic import Field

from app.schemas.compatibility import CompatibleWire, Task
from app.schemas.wire import Count, ImageEntry, Json, ModelName, SnakeWire, Text


class WeaviateTextRequest(CompatibleWire):
    NESTED = ("config",)

    text: Text
    config: Json | None = Field(None, description="Its fields count as if they stood beside it.")
    pooling_strategy: Literal["masked_mean", "cls"] | None = Field(
        None, description="masked_mean, which Weaviate always sends: the model's own. cls: an error of other models."
    )
    task_type: Task = None
    dimensions: Count | None = Field(None, description="Shorten the vector to this many numbers.")
    model: ModelName = None


class WeaviateTextResponse(SnakeWire):
    text: str = Field(description="The text.")
    vector: list[float] = Field(description="Its vector, of length 1.")
    dim: int = Field(description="Its length.")


class WeaviateClipRequest(CompatibleWire):
    texts: list[Text] = Field([], description="Texts.")
    images: list[ImageEntry] = Field([], description="Images, as base64.", json_schema_extra={"maxItems": "<images>"})
    model: ModelName = None


class WeaviateClipResponse(SnakeWire):
    textVectors: list[list[float]] = Field(description="One vector of length 1 per text.")  # noqa: N815 - on the wire
    imageVectors: list[list[float]] = Field(description="One vector of length 1 per image.")  # noqa: N815


class WeaviateMeta(SnakeWire):
    version: str = Field(description="The version of this service.")
    models: Json = Field(description="By kind, the default models.")
