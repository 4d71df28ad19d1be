"""Ranks the vectors of a `/similarity` body. No HTTP, no Ray."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from app.config.args import Limits
from app.schemas import MatrixOptions
from app.types import SimilarityMetric, Vector
from app.vectors.binary_body import matrix
from app.vectors.json_body import parse
from app.vectors.similarity import rank


@dataclass(frozen=True, slots=True)
class Ranking:
    """Best first: (k,) indices into the request's candidates, (k,) float32 scores."""

    indices: NDArray[np.int64]
    scores: Vector
    metric: SimilarityMetric
    space: str | None = None


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
    """Rank (n, d) candidates against a (d,) query; see `app.vectors.similarity.rank`."""
    best = rank(query, candidates, metric=metric, top_k=top_k, threshold=threshold)
    return Ranking(best.indices, best.scores, metric)
