"""Similarity: ranks vectors on CPU, with numpy, beside the encoders and not among them."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.config.args import Limits
from app.schemas.similarity import MatrixOptions
from app.types import SimilarityMetric, Vector
from app.vectors.binary_body import rank_matrix
from app.vectors.json_body import rank_json
from app.vectors.similarity import Ranking, rank
from deployments.telemetry import reporter


class Similarity:
    """Large bodies are parsed here, so that the ingress stays free to answer others."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._threads = ThreadPoolExecutor(1, "rank")
        self._reporter = reporter()

    async def __del__(self) -> None:
        await self._reporter.close()

    async def rank_json(self, body: bytes) -> Ranking:
        """A `/similarity` body -> its ranking. Raises InvalidRequest, which names the field at fault."""
        return await self._run(rank_json, body, self._limits)

    async def rank_matrix(
        self, body: NDArray[np.uint8], shape: tuple[int, int] | None, options: MatrixOptions
    ) -> Ranking:
        """A binary `/similarity` body -> its ranking. Raises InvalidRequest."""
        return await self._run(rank_matrix, body, shape, options, self._limits)

    async def rank(
        self, query: Vector, candidates: Vector, metric: SimilarityMetric, top_k: int | None, threshold: float | None
    ) -> Ranking:
        """(d,) against (n, d). Raises InvalidRequest."""
        return await self._run(rank, query, candidates, metric, top_k, threshold)

    async def _run(self, ranker: Callable[..., Ranking], *args: Any) -> Ranking:
        return await asyncio.get_running_loop().run_in_executor(self._threads, ranker, *args)
