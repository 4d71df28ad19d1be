"""`/similarity`: vectors against a vector."""

from typing import Annotated

from pydantic import Field

from app.schemas.wire import Count, Float32, Wire
from app.types import SimilarityMetric


class SimilarityOptions(Wire):
    top_k: Annotated[Count | None, Field(description="Most results; more than there are is fine.")] = None
    threshold: Annotated[
        float | None,
        Field(description="cosine, dot: least score. euclidean: greatest distance. Inclusive."),
    ] = None
    metric: Annotated[SimilarityMetric, Field(description="euclidean scores are distances, ascending.")] = "cosine"


class SpacedOptions(SimilarityOptions):
    query_space: Annotated[str | None, Field(description="`space` of the answer that the query came from.")] = None
    candidate_space: Annotated[
        str | None, Field(description="The same of the candidates; another one than the query's is refused (409).")
    ] = None


class MatrixOptions(SimilarityOptions):
    """Query parameters of a binary request, whose vectors are of one space."""

    # `Count` looks at JSON numbers; here are strings.
    top_k: Annotated[int | None, Field(ge=1, description="Most results; more than there are is fine.")] = None
    space: Annotated[str | None, Field(description="The vectors' space, for the answer.")] = None


class SimilarityRequest(SpacedOptions):
    query: Annotated[list[Float32], Field(min_length=1, description="One vector: d 32-bit floats, d at least 1.")]
    candidates: Annotated[
        list[list[Float32]],
        Field(description="n vectors of as many 32-bit floats as `query` has; n · d is at most <vector_elements>."),
    ]


class Ranked(Wire):
    index: int = Field(description="Index of the candidate in the request.")
    score: float = Field(description="cosine: -1 to 1. dot: any number. euclidean: the distance, 0 or more.")


class SimilarityResponse(Wire):
    results: list[Ranked] = Field(description="Best first; ties by index.")
    metric: SimilarityMetric = Field(description="The one used.")
    space: str | None = Field(None, description="The vectors' space, where the request declared one.")
    processing_time: float = Field(description="Milliseconds from the whole request to the answer.")
