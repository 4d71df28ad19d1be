"""Similarity: ranks vectors on CPU, with numpy, beside the encoders and not among them."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from app.ranking import Ranking, rank_json, rank_vectors
from app.settings import Limits
from app.types import Metric, Vector


class Similarity:
    """Large bodies are parsed here, so that the ingress stays free to answer others."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._threads = ThreadPoolExecutor(1, "rank")

    async def rank_json(self, body: bytes) -> Ranking:
        """A `/similarity` body -> its ranking.

        Raises:
            InvalidRequest: Names the field at fault.
        """
        return await asyncio.get_running_loop().run_in_executor(self._threads, rank_json, body, self._limits)

    async def rank(
        self, query: Vector, candidates: Vector, metric: Metric, top_k: int | None, threshold: float | None
    ) -> Ranking:
        """(d,) against (n, d). Raises InvalidRequest."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, rank_vectors, query, candidates, metric, top_k, threshold)
