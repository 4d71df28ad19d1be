"""What people do next with embeddings, on this side of the wire. Ranking itself is `app.vectors.similarity`'s."""

import numpy as np
from numpy.typing import ArrayLike

from app.client.ranking import Found
from app.types import Vector
from app.vectors.similarity import normalize, rank


def find_similar(query: ArrayLike, candidates: ArrayLike, top_k: int = 5) -> list[Found]:
    """(index, cosine) of the candidates (n, d) nearest to `query` (d,), best first, equal ones by index.

    Raises:
        InvalidRequest: Shapes don't fit, or a number is not finite.
    """
    ranking = rank(query, candidates, top_k=top_k)
    return [Found(*pair) for pair in zip(ranking.indices.tolist(), ranking.scores.tolist(), strict=True)]


def average_embeddings(embeddings: ArrayLike) -> Vector:
    """(n, d) -> (d,): their mean, scaled to length 1; what many liked things have in common.

    Raises:
        ValueError: There are none, or they are no matrix.
    """
    rows = np.asarray(embeddings, np.float32)
    if rows.ndim != 2 or not len(rows):
        raise ValueError(f"embeddings must be (n, d) with n at least 1, not {rows.shape}")
    return normalize(rows.mean(axis=0))
