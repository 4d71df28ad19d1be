"""Reranking, scores of pairs and classification, as the clients of several servers ask for them."""

from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, RootModel

from app.schemas.compatibility import CompatibleWire
from app.schemas.openai import OBJECTS, OpenAiUsage
from app.schemas.tei import Side, TeiOptions
from app.schemas.wire import TEXT, Count, ImageEntry, Json, ModelName, SnakeWire, any_of

# Parsed in `app.api.wire.inputs`.
Documents = Annotated[
    Any,
    any_of(
        [{"type": "array", "minItems": 1, "items": {"anyOf": [TEXT, *OBJECTS]}}],
        "1 to <texts> texts of at most <text_bytes> bytes each, or {text} objects; for an image model also {image} "
        "objects, at most <images>, never for a reranker.",
    ),
]
_STRINGS: Final[Json] = {"type": "array", "minItems": 1, "items": TEXT}
OneOrMore = Annotated[Any, any_of([TEXT, _STRINGS], "A text, or 1 to <texts> texts.")]
_TEXTS: Final[Json] = _STRINGS | {"maxItems": 2}

Query = Annotated[str, Field(min_length=1, description="The query; not empty, at most <text_bytes> UTF-8 bytes.")]
Truncate = Annotated[
    bool | None, Field(description="Default true: pairs that are too long are truncated. False: they are an error.")
]
Top = Annotated[Count | None, Field(description="Return at most so many, the best; may exceed their number.")]
Raw = Annotated[bool, Field(description="The model's logits (or cosines), without its activation.")]
# Xinference's clients send "true".
_AS_WORD: Final = BeforeValidator(lambda value: {"true": True, "false": False}.get(str(value), value))
Returned = Annotated[bool, _AS_WORD, Field(description="Return each result's text.")]
Method = Annotated[
    Literal["bi-encoder", "late-interaction"] | None,
    Field(
        description="Present where no reranker answers. bi-encoder: cosines of a text model's vectors; "
        "late-interaction: MaxSim of the vectors of tokens."
    ),
]


class RerankRequest(TeiOptions):
    """`texts`, as in text-embeddings-inference, or `documents`, as in Infinity and Weaviate."""

    query: Query
    texts: Documents = None
    documents: Documents = None
    model: ModelName = None
    top_n: Top = None
    raw_scores: Raw = False
    return_text: Returned = False
    return_documents: Returned = False
    truncate: Truncate = None
    truncation_direction: Side = None


class TextObject(SnakeWire):
    text: str = Field(min_length=1, description="A text; not empty, at most <text_bytes> UTF-8 bytes.")


class ImageObject(SnakeWire):
    image: ImageEntry


class RankedText(SnakeWire):
    index: int = Field(description="Index of the text in the request.")
    score: float = Field(description="The model's score, as sentence-transformers' CrossEncoder.predict returns it.")
    text: str | None = Field(None, description="The text, if it was asked for; empty for an image.")


class RankedTexts(RootModel[list[RankedText]]):
    """Best first; ties by index."""


class Relevance(SnakeWire):
    index: int = Field(description="Index of the document in the request.")
    relevance_score: float = Field(description="The model's score, as in RankedText.")
    document: TextObject | ImageObject | None = Field(None, description="The document, if it was asked for.")


class ScoresResponse(SnakeWire):
    id: str = Field(description="The x-request-id.")
    model: str = Field(description="Full name of the model.")
    usage: OpenAiUsage = Field(description="The tokens used.")
    method: Method = None


class DocumentScore(SnakeWire):
    document: str = Field(description="The document; empty for an image.")
    score: float = Field(description="The model's score, as in RankedText.")


class RerankResponse(ScoresResponse):
    query: str = Field(description="The query.")
    results: list[Relevance] = Field(description="Best first; ties by index.")
    scores: list[DocumentScore] = Field(description="Of every document, in the order of the request.")


class RankedResponse(RootModel[RankedTexts | RerankResponse]):
    """A list for `texts`, an object for `documents`."""


class JinaRerankRequest(CompatibleWire):
    query: Query
    documents: Documents
    model: ModelName = None
    top_n: Top = None
    top_k: Top = None
    return_documents: Returned = False
    truncation: Truncate = None


class JinaRerankResponse(ScoresResponse):
    object: Literal["list"] = Field(description="Always this.")
    results: list[Relevance] = Field(description="Best first; ties by index.")
    data: list[Relevance] = Field(description="The same, as Voyage's clients read it.")
    meta: dict[str, dict[str, int]] = Field(description="The tokens once more, as {tokens: {input_tokens}}.")


class NimRankingRequest(CompatibleWire):
    query: TextObject = Field(description="The query.")
    passages: list[TextObject] = Field(min_length=1, description="1 to <texts> passages.")
    model: ModelName = None
    truncate: Literal["NONE", "START", "END"] = Field(
        "NONE", description="The side that is cut; NONE: too long is an error."
    )


class NimRank(SnakeWire):
    index: int = Field(description="Index of the passage in the request.")
    logit: float = Field(description="The model's logit (or cosine).")


class NimRankingResponse(SnakeWire):
    rankings: list[NimRank] = Field(description="Best first; ties by index.")
    method: Method = None


class PairScoreRequest(CompatibleWire):
    text_1: OneOrMore
    text_2: OneOrMore
    model: ModelName = None


class PairScore(SnakeWire):
    index: int = Field(description="Index of the pair.")
    object: Literal["score"] = Field(description="Always this.")
    score: float = Field(description="The model's score, as in RankedText.")


class PairScoreResponse(ScoresResponse):
    object: Literal["list"] = Field(description="Always this.")
    created: int = Field(description="Unix seconds of the answer.")
    data: list[PairScore] = Field(description="One per pair, in order.")


class TeiPredictRequest(TeiOptions):
    inputs: Annotated[
        Any,
        any_of(
            # More texts than two are no pair, and several inputs only where one is in brackets.
            [TEXT, _TEXTS, {"type": "array", "items": {"anyOf": [TEXT, _TEXTS]}, "contains": {"type": "array"}}],
            "A text, a pair [text, text], or 1 to <texts> of [text] and [text, text].",
        ),
    ]
    raw_scores: Raw = False
    truncate: Truncate = None
    truncation_direction: Side = None
    model: ModelName = None


class TeiPrediction(SnakeWire):
    score: float = Field(description="Its probability; of a model with an activation of its own, what that makes.")
    label: str = Field(description="The label's name in the model's configuration.")


class TeiPredictResponse(RootModel[list[TeiPrediction] | list[list[TeiPrediction]]]):
    """The labels of one input, the most probable first; a list of such lists where several were sent."""


class InfinityClassifyRequest(CompatibleWire):
    input: OneOrMore
    model: ModelName = None
    raw_scores: Raw = False


class InfinityClassifyResponse(ScoresResponse):
    object: Literal["classify"] = Field(description="Always this.")
    created: int = Field(description="Unix seconds of the answer.")
    data: list[list[TeiPrediction]] = Field(description="The labels of each input, the most probable first.")
