"""`/search`: embeds a query and candidates and ranks the candidates in one call."""

from typing import Annotated, Any, Literal

from pydantic import Field

from app.schemas.similarity import Ranked, SimilarityOptions
from app.schemas.wire import Count, Float32, ImageEntry, ModelName, PromptName, Text, Wire
from app.types import SimilarityMetric


class TextItem(Wire):
    text: Text


class ImageItem(Wire):
    image: ImageEntry


class VectorItem(Wire):
    vector: list[Float32] = Field(
        min_length=1,
        description="32-bit floats, as many as the model's vectors have, or, without a model, as the other "
        "vectors have.",
    )


# Separate schemas, because an item has exactly one of these fields.
SearchItem = TextItem | ImageItem | VectorItem


class SearchRequestOptions(SimilarityOptions):
    model: ModelName = Field(
        None,
        description="Embeds texts and images. Default: the first image model if there is any image, else the "
        "first text model. No model is needed if all items are vectors.",
    )
    space: str | None = Field(None, description="The space of the given vectors; 409 if it is not the model's.")
    return_candidates: bool = Field(False, description="Return each result's candidate.")
    prompt_name: PromptName = None
    sparse: bool | Annotated[str, Field(min_length=1)] = Field(
        False,
        description="Rank by a sparse encoder as well, and fuse both rankings by reciprocal rank fusion: true for the "
        "first one configured, or a model's name. Query and candidates must be texts. Scores are the sum of "
        "1 / (60 + rank); metric and threshold are the dense ranking's.",
    )
    rerank: bool | Annotated[str, Field(min_length=1)] = Field(
        False,
        description="Score the best of the ranking once more, with a reranker: true for the first one configured, or "
        "the name of one, or of a model of token vectors (MaxSim). Query and candidates must be texts. Scores are the "
        "reranker's; threshold is the ranking's.",
    )
    rerank_top: Count = Field(100, description="How many of the ranking's best are reranked and returned, at most.")


class SearchRequest(SearchRequestOptions):
    query: SearchItem = Field(description="The item to search for.")
    candidates: list[SearchItem] = Field(
        description="0 to <search_candidates> candidates; at most <images> images, the query's included."
    )


class Found(Ranked):
    ranks: dict[Literal["dense", "sparse"], int] | None = Field(
        None,
        description="If sparse was asked for: the candidate's rank, from 1, in each ranking that has it. The sparse "
        "one has candidates that share a token with the query.",
    )
    candidate: Any = Field(None, description="The candidate as in the request, if returnCandidates is true.")


class SearchResponse(Wire):
    results: list[Found] = Field(description="Best first; ties by index.")
    metric: SimilarityMetric = Field(description="The metric used.")
    model: str | None = Field(description="Full name of the model; null if all items were vectors.")
    sparse_model: str | None = Field(None, description="Full name of the sparse encoder, if it was asked for.")
    reranker: str | None = Field(None, description="Full name of the reranker, if it was asked for.")
    space: str | None = Field(description="The vector space; null if it is not known.")
    embedded: int = Field(description="Texts and images that a model embedded for this answer.")
    cache_hits: int = Field(description="Texts and images whose vectors came from the cache.")
    processing_time: float = Field(description="Milliseconds from receiving the whole request to the response.")
