"""Ranks the vectors of a `/similarity` body. No HTTP, no Ray."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from app.config.args import Limits
from app.schemas.similarity import MatrixOptions
from app.types import SimilarityMetric, Vector
from app.vectors.binary_body import matrix
from app.vectors.json_body import parse
from app.vectors.similarity import Ranking, rank


def rank_json(body: bytes, limits: Limits) -> Ranking:
    """Rank a JSON body. Raises InvalidRequest naming the field at fault."""
    request = parse(body, limits)
    options = request.options
    ranking = rank_vectors(request.query, request.candidates, options.metric, options.top_k, options.threshold)
    return replace(ranking, space=options.query_space or options.candidate_space)


def rank_matrix(
    body: NDArray[np.uint8], shape: tuple[int, int] | None, options: MatrixOptions, limits: Limits
) -> Ranking:
    """Rank a binary body. Raises InvalidRequest."""
    rows = matrix(body, shape, limits)
    ranking = rank_vectors(rows[0], rows[1:], options.metric, options.top_k, options.threshold)
    return replace(ranking, space=options.space)


def rank_vectors(
    query: Vector, candidates: Vector, metric: SimilarityMetric, top_k: int | None, threshold: float | None
) -> Ranking:
    """`app.vectors.similarity.rank` with positional arguments, for executors."""
    return rank(query, candidates, metric=metric, top_k=top_k, threshold=threshold)
