"""Local operations on embeddings: finding similar vectors and averaging."""

import numpy as np
from numpy.typing import ArrayLike

from embeddings_client.items import listed
from embeddings_client.ranking import Found, Vectors
from embeddings_client.similarity import normalize, rank
from embeddings_client.types import Vector


def find_similar(query: ArrayLike, candidates: Vectors, top_k: int = 5) -> list[Found]:
    """(index, cosine) of the candidates (n, d) nearest to `query` (d,), best first, ties by index.

    Raises:
        InvalidRequest: The shapes do not fit, or a number is not finite.
    """
    ranking = rank(query, listed(candidates), top_k=top_k)
    return [Found(*pair) for pair in zip(ranking.indices.tolist(), ranking.scores.tolist(), strict=True)]


def average_embeddings(embeddings: Vectors) -> Vector:
    """(n, d) -> (d,): the mean scaled to length 1, e.g. a profile of the items that a user likes.

    Raises:
        ValueError: `embeddings` is empty or not a matrix.
    """
    rows = np.asarray(listed(embeddings), np.float32)
    if rows.ndim != 2 or not len(rows):
        raise ValueError(f"embeddings must be (n, d) with n at least 1, not {rows.shape}")
    return normalize(rows.mean(axis=0))
