"""Ranks and normalizes vectors, with the client's own functions."""

from embeddings_client.similarity import Ranking, cosines, normalize, rank

__all__ = ["Ranking", "cosines", "normalize", "rank"]
