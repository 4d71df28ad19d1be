"""Ranks the vectors of a `/similarity` body. No HTTP, no Ray."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from app.config.args import Limits
from app.schemas.similarity import MatrixOptions
from app.vectors.binary_body import matrix
from app.vectors.json_body import parse
from app.vectors.similarity import Ranking, rank


def rank_json(body: bytes, limits: Limits) -> Ranking:
    """Rank a JSON body. Raises InvalidRequest naming the field at fault."""
    request = parse(body, limits)
    options = request.options
    ranking = rank(request.query, request.candidates, options.metric, options.top_k, options.threshold)
    return replace(ranking, space=options.query_space or options.candidate_space)


def rank_matrix(
    body: NDArray[np.uint8], shape: tuple[int, int] | None, options: MatrixOptions, limits: Limits
) -> Ranking:
    """Rank a binary body. Raises InvalidRequest."""
    rows = matrix(body, shape, limits)
    ranking = rank(rows[0], rows[1:], options.metric, options.top_k, options.threshold)
    return replace(ranking, space=options.space)
