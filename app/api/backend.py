"""The dependencies of the endpoints. Values and protocols only."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from app.api.middleware.auth import Authenticator
from app.cache.shared import CacheStats
from app.config.settings import AppArgs
from app.schemas.similarity import MatrixOptions
from app.service.embedding_service import EmbeddingService
from app.telemetry.registry import Snapshot
from app.telemetry.request_log import RequestLog
from app.types import SimilarityMetric, Vector
from app.vectors.similarity import Ranking


class Ranker(Protocol):
    async def rank_json(self, body: bytes) -> Ranking: ...
    async def rank_matrix(
        self, body: NDArray[np.uint8], shape: tuple[int, int] | None, options: MatrixOptions
    ) -> Ranking: ...
    async def rank(
        self, query: Vector, candidates: Vector, metric: SimilarityMetric, top_k: int | None, threshold: float | None
    ) -> Ranking: ...


class CacheControl(Protocol):
    async def clear(self) -> int: ...
    async def stats(self) -> CacheStats: ...
    async def warm(self, entries: Sequence[tuple[bytes, bytes]]) -> None: ...


class Metrics(Protocol):
    async def read(self) -> Snapshot: ...
    async def waiting(self) -> list[str]: ...


@dataclass(slots=True, eq=False)
class Backend:
    """The dependencies of one ingress replica. `authenticator`: None if no API keys are required. `metrics`: those of
    the cluster; None: only this replica's, which the service's registry holds.
    """

    service: EmbeddingService
    cache: CacheControl
    ranker: Ranker
    args: AppArgs
    replica: str = "local"
    authenticator: Authenticator | None = None
    started: float = field(default_factory=time.monotonic)
    metrics: Metrics | None = None

    log: RequestLog = field(init=False)

    def __post_init__(self) -> None:
        self.log = RequestLog(self.args.log_requests)
