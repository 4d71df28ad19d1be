"""`/embed_sparse` and `/embed_all`, in text-embeddings-inference's form."""

from typing import Annotated, Any

from pydantic import Field, RootModel

from app.schemas.tei import TeiTruncated
from app.schemas.wire import TEXTS_OR_IDS, Purpose, SnakeWire, any_of


class TeiTextsRequest(TeiTruncated):
    inputs: Annotated[Any, any_of(TEXTS_OR_IDS[:2], "A text or 1 to <texts> texts of at most <text_bytes> bytes.")]
    input_type: Purpose = None


class TeiSparseValue(SnakeWire):
    index: int = Field(description="Of a token of the model's vocabulary.")
    value: float = Field(description="Its weight, which is not zero.")


class TeiSparseResponse(RootModel[list[list[TeiSparseValue]]]):
    """The sparse vector of each input, in order; its values by index."""


class TeiTokenVectorsResponse(RootModel[list[list[list[float]]]]):
    """Of each input, in order, the vectors of its tokens, special ones included, before any pooling."""
