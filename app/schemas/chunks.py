"""`/embed/chunks`, and Voyage's contextualised embeddings, field by field."""

from typing import Annotated, Literal

from pydantic import Field

from app.schemas.compatibility import CompatibleWire
from app.schemas.embeddings import Usage
from app.schemas.openai import OpenAiEmbedding
from app.schemas.wire import TEXT, Count, ModelName, Normalize, Output, PromptName, Purpose, SnakeWire, Whole, Wire
from app.types import OutputType
from app.words import ChunkBy

Document = Annotated[str, Field(min_length=1, description="Text to cut and embed; not empty.")]


class ChunksRequest(Wire):
    text: Document | None = Field(
        None, description="One text. Send `text` or `texts`; the body has at most <chunk_body> bytes."
    )
    texts: list[Document] | None = Field(
        None, min_length=1, description="Several texts, of at most <texts> chunks together."
    )
    size: Count | None = Field(
        None,
        description="Most tokens of a chunk, by the model's own tokenizer; its special tokens and prompt do not count. "
        "Default: as many as the model reads beside these, at most 512; more is an error.",
    )
    overlap: Annotated[int, Field(ge=0), Whole] = Field(
        0,
        description="Most tokens of a chunk's last words or sentences that begin the next one; less than `size`.",
    )
    by: ChunkBy = Field(
        "tokens",
        description="tokens: a chunk has as many whole words as fit. sentences: whole sentences, which end at . ! ? … "
        "before white space, at 。！？, and at line ends. A sentence that is too long is cut between words, "
        "a word between tokens.",
    )
    late: bool = Field(
        False,
        description="Late chunking: the model reads the whole text, and each chunk's vector is the mean of its tokens' "
        "vectors there. For mean-pooled models; not cached.",
    )
    model: ModelName = None
    normalize: Normalize = True
    output_type: Output = "float32"
    prompt_name: PromptName = None
    input_type: Purpose = None


class Chunk(Wire):
    text: str = Field(description="The text from `start` to `end`.")
    start: int = Field(description="Index of its first character (Unicode code point) in the text.")
    end: int = Field(description="Index after its last character.")
    embedding: list[float] = Field(description="Its vector.")


class ChunkedText(Wire):
    chunks: list[Chunk] = Field(
        description="In order. All but white space is in one of them; of white space, there is none."
    )
    windows: int | None = Field(
        None,
        description="With `late`: in how many parts the text was read. More than 1: it is longer than the model's "
        "length; the parts overlap, and a chunk knows of the part that it is in.",
    )


class ChunksResponse(Wire):
    results: list[ChunkedText] = Field(description="One per text, in order.")
    model: str = Field(description="Full name of the model.")
    dimensions: int = Field(description="Dimensions of the model.")
    processing_time: float = Field(description="Milliseconds from receiving the whole request to the response.")
    cached: bool = Field(description="Whether every vector came from the cache.")
    cache_hits: int = Field(description="How many of the vectors came from the cache.")
    usage: Usage = Field(description="The tokens used.")
    truncated: list[int] = Field(
        description="Indices of chunks, counted over all texts, that were truncated, as very few characters had too "
        "many tokens."
    )
    space: str = Field(description="The vector space. Only vectors of the same space can be compared.")
    output_type: OutputType | None = Field(None, description="The output type, if it is not float32.")
    range: list[float] | None = Field(
        None, description="int8, uint8: the values that the first and the last level stand for."
    )
    note: str | None = Field(None, description="A remark on the model, e.g. that it is a backup.")


class ContextualizedRequest(CompatibleWire):
    inputs: list[list[Annotated[str, Field(min_length=1)]]] = Field(
        min_length=1,
        description="Documents, each a list of its chunks in order; 1 to <texts> chunks in all, at most <chunk_body> "
        "bytes. A document is read at once, its chunks joined by spaces.",
        json_schema_extra={"items": {"type": "array", "minItems": 1, "items": TEXT}},
    )
    model: ModelName = None
    input_type: Purpose = None
    output_dimension: Count | None = Field(None, description="Shorten vectors to this many numbers.")
    output_dtype: Literal["float", "float32", "int8", "uint8", "binary", "ubinary"] = Field(
        "float", description="As outputType of TextRequest; float: float32."
    )
    encoding_format: Literal["float", "base64"] | None = Field(
        None, description="base64: the vector's little-endian bytes."
    )


class ContextualizedDocument(SnakeWire):
    object: Literal["list"] = Field(description="Always this.")
    data: list[OpenAiEmbedding] = Field(description="One per chunk, in order.")
    index: int = Field(description="Index of the document.")


class VoyageUsage(SnakeWire):
    total_tokens: int = Field(description="Tokens of all chunks.")


class ContextualizedResponse(SnakeWire):
    object: Literal["list"] = Field(description="Always this.")
    data: list[ContextualizedDocument] = Field(description="One per document, in order.")
    model: str = Field(description="Full name of the model.")
    usage: VoyageUsage = Field(description="The tokens used.")
    warning: str | None = Field(None, description="Extension: a possible problem with the request.")
    range: list[float] | None = Field(
        None, description="Extension: int8, uint8: the range of values that the levels cover."
    )
