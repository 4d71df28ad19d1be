"""What the routes need of the rest of the service. Values and protocols only."""

import time
from dataclasses import dataclass, field
from typing import Protocol

from app.ranking import Ranking
from app.service import EmbeddingService
from app.settings import AppArgs
from app.shared_cache import CacheStats
from app.types import Metric, Vector


class Ranker(Protocol):
    async def rank_json(self, body: bytes) -> Ranking: ...
    async def rank(
        self, query: Vector, candidates: Vector, metric: Metric, top_k: int | None, threshold: float | None
    ) -> Ranking: ...


class CacheControl(Protocol):
    async def clear(self) -> int: ...
    async def stats(self) -> CacheStats: ...


@dataclass(slots=True, eq=False)
class Backend:
    """One ingress replica's view of the service."""

    service: EmbeddingService
    cache: CacheControl
    ranker: Ranker
    args: AppArgs
    replica: str = "local"
    started: float = field(default_factory=time.monotonic)
