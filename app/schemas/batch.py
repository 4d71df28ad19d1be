"""`/embed/batch`: texts and images together, with one result each."""

from typing import Annotated, Any, Final

from pydantic import Field

from app.schemas import wire
from app.schemas.wire import ImageEntry, Json, ModelName, Normalize, Output, PromptName, Purpose, Text, Wire


class BatchItem(Wire):
    """Exactly one of `text` and `image`."""

    text: Text | None = Field(None, description="Text to embed; not empty.")
    image: ImageEntry = None
    model: ModelName = None


_KINDS: Final[dict[str, Json]] = {
    "text": {"type": "string", "minLength": 1, "description": "Text to embed; as in TextRequest."},
    "image": {"description": "As an entry of `images` in ImageRequest."},
}
_ITEMS: Final[list[Json]] = [
    wire.closed(
        {
            kind: about,
            "model": {
                "type": ["string", "null"],
                "description": f"Full or short name of a served model; default: the first {kind} model.",
            },
        },
        kind,
        title=f"Batch{kind.capitalize()}",
    )
    for kind, about in _KINDS.items()
]
_ELSE: Final[Json] = {"title": "Anything else", "description": "An error for this item; the others are embedded."}
# Each item is validated separately, so that an invalid one does not fail the others.
AnyItem = Annotated[Any, wire.any_of([*_ITEMS, _ELSE], "{text} or {image}, each optionally with `model`.")]


class BatchRequest(Wire):
    items: list[AnyItem] = Field(min_length=1, description="1 to <texts> items, at most <images> of them images.")
    batch_size: Annotated[
        int, Field(ge=1, le=2048, description="Maximum number of items sent to a model at once."), wire.Whole
    ] = 100
    normalize: Normalize = True
    output_type: Output = "float32"
    prompt_name: PromptName = None
    input_type: Purpose = None


class ItemError(Wire):
    code: str = Field(description="As in ErrorBody.")
    message: str = Field(description="What is wrong and how to fix it.")
    param: str | None = Field(description="The field at fault, e.g. items.3")


class BatchItemResult(Wire):
    """What became of one item: model, dimensions and cached, or an error."""

    model: str | None = Field(None, description="Full name of the model.")
    dimensions: int | None = Field(None, description="Dimensions of the model.")
    space: str | None = Field(None, description="Its vector space. Only vectors of the same space can be compared.")
    range: list[float] | None = Field(None, description="int8, uint8: the range of values that the levels cover.")
    cached: bool | None = Field(None, description="Whether it came from the cache.")
    truncated: bool | None = Field(None, description="True: the text was truncated to the model's maximum length.")
    note: str | None = Field(None, description="A remark on the model, e.g. that it is a backup.")
    error: ItemError | None = Field(None, description="Why there is no vector.")


class BatchResponse(Wire):
    embeddings: list[list[float] | None] = Field(description="In order; null for an item that failed.")
    model: str | None = Field(description="Model of the first item that succeeded; see `items` for each.")
    total_items: int = Field(description="Items of the request.")
    batches_processed: int = Field(description="Batches that a model has run; 0 if all vectors came from the cache.")
    total_time: float = Field(description="Milliseconds from receiving the whole request to the response.")
    avg_time_per_item: float = Field(description="totalTime / totalItems, milliseconds.")
    items: list[BatchItemResult] = Field(description="One per item, in order.")
