"""From a `/similarity` body to its ranked results: parse, rank, plain numbers. No HTTP, no Ray."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.settings import Limits
from app.similarity import rank
from app.similarity_request import parse
from app.types import Metric, Vector


@dataclass(frozen=True, slots=True)
class Ranking:
    """Best first: (k,) places of the candidates in the request, (k,) float32 scores."""

    indices: NDArray[np.int64]
    scores: Vector
    metric: Metric


def rank_json(body: bytes, limits: Limits) -> Ranking:
    """Raises InvalidRequest, naming the field at fault."""
    asked = parse(body, limits)
    options = asked.options
    ranked = rank(
        asked.query, asked.candidates, metric=options.metric, top_k=options.top_k, threshold=options.threshold
    )
    return Ranking(ranked.indices, ranked.scores, options.metric)
