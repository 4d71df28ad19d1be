"""Reranking, scores of pairs and classification, as the clients of several servers ask for them."""

from typing import Annotated, Any, Final, Literal

from pydantic import Field, RootModel

from app.schemas.compatibility import CompatibleWire
from app.schemas.tei import Direction
from app.schemas.wire import TEXT, Count, Json, ModelName, SnakeWire, any_of

_OBJECT: Final[Json] = {
    "type": "object",
    "properties": {"text": TEXT | {"description": "The text."}},
    "required": ["text"],
}
# Parsed in `app.api.wire.inputs`.
Documents = Annotated[
    Any,
    any_of(
        [{"type": "array", "minItems": 1, "items": {"anyOf": [TEXT, _OBJECT]}}],
        "1 to <texts> texts, or objects whose `text` it is, of at most <text_bytes> bytes each.",
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
Returned = Annotated[bool, Field(description="Return each result's text.")]
Side = Annotated[Direction, Field(description="right: the end of a text that is too long is cut off.")]
Method = Annotated[
    Literal["bi-encoder"] | None,
    Field(description="Present where no reranker is served: the scores are cosines of a text model's vectors."),
]


class RerankRequest(CompatibleWire):
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
    truncation_direction: Side = "right"


class RankedText(SnakeWire):
    index: int = Field(description="Index of the text in the request.")
    score: float = Field(description="The model's score, as sentence-transformers' CrossEncoder.predict returns it.")
    text: str | None = Field(None, description="The text, if it was asked for.")


class RankedTexts(RootModel[list[RankedText]]):
    """Best first; ties by index."""


class RankedDocument(SnakeWire):
    text: str = Field(description="The document.")


class Relevance(SnakeWire):
    index: int = Field(description="Index of the document in the request.")
    relevance_score: float = Field(description="The model's score, as in RankedText.")
    document: RankedDocument | None = Field(None, description="The document, if it was asked for.")


class DocumentScore(SnakeWire):
    document: str = Field(description="The document.")
    score: float = Field(description="The model's score, as in RankedText.")


class RerankUsage(SnakeWire):
    prompt_tokens: int = Field(description="Tokens of all pairs, including special tokens.")
    total_tokens: int = Field(description="The same.")


class RerankResponse(SnakeWire):
    id: str = Field(description="The x-request-id.")
    query: str = Field(description="The query.")
    model: str = Field(description="Full name of the model.")
    results: list[Relevance] = Field(description="Best first; ties by index.")
    scores: list[DocumentScore] = Field(description="Of every document, in the order of the request.")
    usage: RerankUsage = Field(description="The tokens used.")
    method: Method = None


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


class RerankMetaTokens(SnakeWire):
    input_tokens: int = Field(description="Tokens of all pairs.")


class RerankMeta(SnakeWire):
    tokens: RerankMetaTokens = Field(description="As Cohere's clients read them.")


class JinaRerankResponse(SnakeWire):
    id: str = Field(description="The x-request-id.")
    object: Literal["list"] = Field(description="Always this.")
    model: str = Field(description="Full name of the model.")
    results: list[Relevance] = Field(description="Best first; ties by index.")
    data: list[Relevance] = Field(description="The same, as Voyage's clients read it.")
    usage: RerankUsage = Field(description="The tokens used.")
    meta: RerankMeta = Field(description="The tokens once more.")
    method: Method = None


class NimText(SnakeWire):
    text: str = Field(min_length=1, description="A text; not empty, at most <text_bytes> UTF-8 bytes.")


class NimRankingRequest(CompatibleWire):
    query: NimText = Field(description="The query.")
    passages: list[NimText] = Field(min_length=1, description="1 to <texts> passages.")
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


class PairScoreResponse(SnakeWire):
    id: str = Field(description="The x-request-id.")
    object: Literal["list"] = Field(description="Always this.")
    created: int = Field(description="Unix seconds of the answer.")
    model: str = Field(description="Full name of the model.")
    data: list[PairScore] = Field(description="One per pair, in order.")
    usage: RerankUsage = Field(description="The tokens used.")
    method: Method = None


class TeiPredictRequest(CompatibleWire):
    inputs: Annotated[
        Any,
        any_of(
            [TEXT, _TEXTS, {"type": "array", "minItems": 1, "items": {"anyOf": [TEXT, _TEXTS]}}],
            "A text, a pair [text, text], or 1 to <texts> of [text] and [text, text].",
        ),
    ]
    raw_scores: Raw = False
    truncate: Truncate = None
    truncation_direction: Side = "right"
    model: ModelName = None


class TeiPrediction(SnakeWire):
    score: float = Field(description="Its probability; of a model with an activation of its own, what that makes.")
    label: str = Field(description="The label's name in the model's configuration.")


class TeiPredictResponse(RootModel[list[TeiPrediction] | list[list[TeiPrediction]]]):
    """The labels of one input, the most probable first; a list of such lists where several were sent."""
