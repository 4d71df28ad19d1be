"""The ingress's side of the Similarity deployment: the ranker as `app` knows it, calls on its handle below."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import ray
from numpy.typing import NDArray
from ray.serve.handle import DeploymentHandle

from app.config.args import Limits
from app.dispatch.retry import RetryBudget
from app.errors import Overloaded
from app.schemas.similarity import MatrixOptions
from app.types import SimilarityMetric, Vector
from app.vectors.similarity import Ranking
from deployments.remote_call import again

NAME = "similarity"
# The other side maps what is in the object store, without a copy; a small matrix is quicker in the message.
BY_REFERENCE_BYTES = 2**20
MOST_BODIES = 4  # times the largest request: what all may have here that are not answered yet


class RemoteRanker:
    """Bodies may be large, so few wait: what would be too many is refused."""

    def __init__(self, handle: DeploymentHandle, limits: Limits, budget: RetryBudget) -> None:
        self._rank_json = handle.options(method_name="rank_json")
        self._rank_small = handle.options(method_name="rank_matrix")
        self._rank_large = handle.options(method_name="rank_matrix", _by_reference=True)
        self._rank = handle.options(method_name="rank")
        self._deadline_s = limits.deadline_s
        self._budget = budget
        self._most_bytes = MOST_BODIES * limits.vector_body
        self._bytes = 0

    async def rank_json(self, body: bytes) -> Ranking:
        return await self._call(self._rank_json, len(body), body)

    async def rank_matrix(
        self, body: NDArray[np.uint8], shape: tuple[int, int] | None, options: MatrixOptions
    ) -> Ranking:
        if len(body) < BY_REFERENCE_BYTES:
            return await self._call(self._rank_small, len(body), body, shape, options)
        with self._admitted(len(body)):
            # In a thread: other requests need not wait while it is copied into the object store.
            sent = await asyncio.to_thread(ray.put, body)
            return await self._call(self._rank_large, 0, sent, shape, options)

    async def rank(
        self, query: Vector, candidates: Vector, metric: SimilarityMetric, top_k: int | None, threshold: float | None
    ) -> Ranking:
        return await self._call(self._rank, candidates.nbytes, query, candidates, metric, top_k, threshold)

    async def _call(self, method: Any, size: int, *args: Any) -> Ranking:
        """Raises Overloaded while too much waits."""
        with self._admitted(size):
            ranking: Ranking = await again(method, NAME, self._deadline_s, self._budget, *args)
            return ranking

    @contextmanager
    def _admitted(self, size: int) -> Iterator[None]:
        if size and self._bytes and self._bytes + size > self._most_bytes:
            raise Overloaded(f"{NAME} has {self._bytes / 2**20:.0f} MiB of requests waiting.", retry_after=1)
        self._bytes += size
        try:
            yield
        finally:
            self._bytes -= size
