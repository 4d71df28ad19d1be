"""`/embed/text` and `/embed/image`."""

from typing import Annotated

from pydantic import Field

from app.schemas.wire import ImageEntry, ModelName, Normalize, Output, PromptName, Purpose, Text, Wire
from app.types import OutputType


class TextRequest(Wire):
    texts: Annotated[list[Text], Field(min_length=1, description="1 to <texts> texts.")]
    model: ModelName = None
    normalize: Normalize = True
    output_type: Output = "float32"
    prompt_name: PromptName = None
    input_type: Purpose = None


class ImageRequest(Wire):
    images: Annotated[
        list[ImageEntry],
        Field(
            min_length=1,
            description="1 to <images> images, at most <request_pixels> pixels together.",
            json_schema_extra={"maxItems": "<images>"},
        ),
    ]
    model: ModelName = None
    normalize: Normalize = True
    output_type: Output = "float32"


class Usage(Wire):
    tokens: int = Field(description="Tokens of all inputs as the model read them, special tokens included.")


class EmbeddingsResponse(Wire):
    embeddings: list[list[float]] = Field(description="One vector of `dimensions` numbers per input, in order.")
    model: str = Field(description="Full name of the model that made the vectors.")
    dimensions: int = Field(description="Numbers of one vector.")
    processing_time: float = Field(description="Milliseconds from the whole request to the answer.")
    cached: bool = Field(description="Whether every vector came from the cache.")
    cache_hits: int = Field(description="How many of the vectors came from the cache.")
    usage: Usage = Field(description="What was read.")
    truncated: list[int] = Field(description="Indices of inputs cut to the model's maximum length.")
    space: str = Field(description="Names the vector space: only vectors of one space compare.")
    output_type: OutputType | None = Field(None, description="Where it is not float32.")
    range: list[float] | None = Field(
        None, description="int8, uint8: least and greatest number that has a level of its own, of every component."
    )
    note: str | None = Field(None, description="What to know about this model, e.g. that it is a backup.")
