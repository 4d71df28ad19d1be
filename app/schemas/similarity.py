"""`/similarity`: ranks vectors against a vector."""

from typing import Annotated

from pydantic import Field

from app.schemas.wire import Count, Float32, Wire
from app.types import SimilarityMetric


class SimilarityOptions(Wire):
    top_k: Count | None = Field(None, description="Maximum number of results; may exceed the number of candidates.")
    threshold: float | None = Field(
        None, description="cosine, dot: minimum score. euclidean: maximum distance. Inclusive."
    )
    metric: SimilarityMetric = Field("cosine", description="euclidean scores are distances, ascending.")


class SpacedOptions(SimilarityOptions):
    query_space: str | None = Field(None, description="`space` of the response that contained the query.")
    candidate_space: str | None = Field(
        None, description="The same for the candidates; 409 if it differs from the query's."
    )


class MatrixOptions(SimilarityOptions):
    """Query parameters of a binary request, whose vectors are all in one space."""

    # Not `Count`, which expects JSON numbers: query parameters are strings.
    top_k: int | None = Field(None, ge=1, description="Maximum number of results; may exceed the number of candidates.")
    space: str | None = Field(None, description="The vectors' space, repeated in the response.")


class SimilarityRequest(SpacedOptions):
    query: list[Float32] = Field(min_length=1, description="One vector: d 32-bit floats, d at least 1.")
    candidates: Annotated[
        list[list[Float32]],
        Field(description="n vectors with as many 32-bit floats as `query`; n · d is at most <vector_elements>."),
    ]


class Ranked(Wire):
    index: int = Field(description="Index of the candidate in the request.")
    score: float = Field(description="cosine: -1 to 1. dot: any number. euclidean: the distance, 0 or more.")


class SimilarityResponse(Wire):
    results: list[Ranked] = Field(description="Best first; ties by index.")
    metric: SimilarityMetric = Field(description="The metric used.")
    space: str | None = Field(None, description="The vectors' space, if the request declared it.")
    processing_time: float = Field(description="Milliseconds from receiving the whole request to the response.")
