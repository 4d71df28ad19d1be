"""`/embed_sparse` and `/embed_all`, in text-embeddings-inference's form."""

from typing import Annotated, Any

from pydantic import Field, RootModel

from app.schemas.compatibility import CompatibleWire
from app.schemas.tei import Side
from app.schemas.wire import TEXTS_OR_IDS, ModelName, PromptName, Purpose, SnakeWire, any_of


class TeiTextsRequest(CompatibleWire):
    inputs: Annotated[Any, any_of(TEXTS_OR_IDS[:2], "A text or 1 to <texts> texts of at most <text_bytes> bytes.")]
    truncate: bool | None = Field(
        None, description="Default true: texts that are too long are truncated. False: they are an error."
    )
    truncation_direction: Side = None
    prompt_name: PromptName = None
    input_type: Purpose = None
    model: ModelName = None


class TeiSparseValue(SnakeWire):
    index: int = Field(description="Of a token of the model's vocabulary.")
    value: float = Field(description="Its weight, which is not zero.")


class TeiSparseResponse(RootModel[list[list[TeiSparseValue]]]):
    """The sparse vector of each input, in order; its values by index."""


class TeiTokenVectorsResponse(RootModel[list[list[list[float]]]]):
    """Of each input, in order, the vectors of its tokens, special ones included, before any pooling."""
