"""From a `/similarity` body to its ranked results: parse, rank, plain numbers. No HTTP, no Ray."""

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
    """Best first: (k,) places of the candidates in the request, (k,) float32 scores."""

    indices: NDArray[np.int64]
    scores: Vector
    metric: SimilarityMetric
    space: str | None = None


def rank_json(body: bytes, limits: Limits) -> Ranking:
    """Raises InvalidRequest, naming the field at fault."""
    asked = parse(body, limits)
    options = asked.options
    ranked = rank_vectors(asked.query, asked.candidates, options.metric, options.top_k, options.threshold)
    return replace(ranked, space=options.query_space or options.candidate_space)


def rank_matrix(
    body: NDArray[np.uint8], shape: tuple[int, int] | None, options: MatrixOptions, limits: Limits
) -> Ranking:
    """A binary body -> its ranking. Raises InvalidRequest."""
    rows = matrix(body, shape, limits)
    ranked = rank_vectors(rows[0], rows[1:], options.metric, options.top_k, options.threshold)
    return replace(ranked, space=options.space)


def rank_vectors(
    query: Vector, candidates: Vector, metric: SimilarityMetric, top_k: int | None, threshold: float | None
) -> Ranking:
    """(d,) against (n, d), as `app.vectors.similarity.rank`."""
    ranked = rank(query, candidates, metric=metric, top_k=top_k, threshold=threshold)
    return Ranking(ranked.indices, ranked.scores, metric)
