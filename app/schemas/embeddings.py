"""`/embed/text` and `/embed/image`."""

from pydantic import Field

from app.schemas.wire import ImageEntry, ModelName, Normalize, Output, PromptName, Purpose, Text, Wire
from app.types import OutputType


class TextRequest(Wire):
    texts: list[Text] = Field(min_length=1, description="1 to <texts> texts.")
    model: ModelName = None
    normalize: Normalize = True
    output_type: Output = "float32"
    prompt_name: PromptName = None
    input_type: Purpose = None


class ImageRequest(Wire):
    images: list[ImageEntry] = Field(
        min_length=1,
        description="1 to <images> images, at most <request_pixels> pixels together.",
        json_schema_extra={"maxItems": "<images>"},
    )
    model: ModelName = None
    normalize: Normalize = True
    output_type: Output = "float32"


class Usage(Wire):
    tokens: int = Field(description="Tokens of all inputs, including special tokens.")


class SparseVector(Wire):
    indices: list[int] = Field(description="Ascending: of the tokens whose weights are not zero.")
    values: list[float] = Field(description="Their weights, as the model makes them.")


class EmbeddingsResponse(Wire):
    embeddings: list[list[float]] = Field(
        description="One vector of `dimensions` numbers per input, in order; none if the model is a sparse encoder."
    )
    sparse_embeddings: list[SparseVector] | None = Field(
        None, description="One per input, in order, if the model is a sparse encoder."
    )
    model: str = Field(description="Full name of the model.")
    dimensions: int = Field(description="Dimensions of the model.")
    processing_time: float = Field(description="Milliseconds from receiving the whole request to the response.")
    cached: bool = Field(description="Whether every vector came from the cache.")
    cache_hits: int = Field(description="How many of the vectors came from the cache.")
    usage: Usage = Field(description="The tokens used.")
    truncated: list[int] = Field(description="Indices of inputs that were truncated to the model's maximum length.")
    space: str = Field(description="The vector space. Only vectors of the same space can be compared.")
    output_type: OutputType | None = Field(None, description="The output type, if it is not float32.")
    range: list[float] | None = Field(
        None, description="int8, uint8: the values that the first and the last level stand for."
    )
    note: str | None = Field(None, description="A remark on the model, e.g. that it is a backup.")
