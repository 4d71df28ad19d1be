"""Similarity: ranks vectors on CPU, with numpy, beside the encoders and not among them."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from app.ranking import Ranking, rank_json
from app.settings import Limits


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
