"""The application over fakes, and requests to it without a network."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray

from app.api.application import create_app
from app.api.backend import Backend
from app.api.middleware.auth import Authenticator
from app.api.middleware.request_metrics import RequestMetrics
from app.cache.shared import CacheStats
from app.config.args import Limits
from app.schemas.similarity import MatrixOptions
from app.service.embedding_service import EmbeddingService
from app.telemetry.registry import Registry
from app.types import SimilarityMetric, Vector
from app.vectors.binary_body import rank_matrix
from app.vectors.json_body import rank_json
from app.vectors.similarity import Ranking, rank
from tests.support.service_fakes import FakeEncoder, service_of

NO_METRICS = RequestMetrics(Registry(), ())
FIGURES = CacheStats(5, 10, 2000, 4000, hits=3, near_hits=2, misses=1, evictions=6, expirations=7, clients=2)


@dataclass
class FakeControl:
    fault: Exception | None = None
    clears: int = 0
    warmed: dict[bytes, bytes] = field(default_factory=dict)

    async def clear(self) -> int:
        if self.fault is not None:
            raise self.fault
        self.clears += 1
        return 5

    async def warm(self, entries: Sequence[tuple[bytes, bytes]]) -> None:
        if self.fault is not None:
            raise self.fault
        self.warmed.update(entries)

    async def stats(self) -> CacheStats:
        if self.fault is not None:
            raise self.fault
        return FIGURES


@dataclass
class LocalRanker:
    fault: BaseException | None = None
    bodies: list[bytes] = field(default_factory=list)

    async def rank_json(self, body: bytes) -> Ranking:
        self.bodies.append(body)
        if self.fault is not None:
            raise self.fault
        return rank_json(body, Limits())

    async def rank_matrix(
        self, body: NDArray[np.uint8], shape: tuple[int, int] | None, options: MatrixOptions
    ) -> Ranking:
        return rank_matrix(body, shape, options, Limits())

    async def rank(
        self, query: Vector, candidates: Vector, metric: SimilarityMetric, top_k: int | None, threshold: float | None
    ) -> Ranking:
        return rank(query, candidates, metric, top_k, threshold)


class Service:
    """`service.post(...)` and the parts behind it."""

    def __init__(
        self,
        *encoders: FakeEncoder,
        names_answers: bool = True,
        authenticator: Authenticator | None = None,
        settings: dict[str, Any] | None = None,
        **limits: Any,
    ) -> None:
        self.control = FakeControl()
        self.ranker = LocalRanker()
        self.embeddings: EmbeddingService = service_of(*encoders or [FakeEncoder()], **limits)
        args = self.embeddings.args.model_copy(update=settings) if settings else self.embeddings.args
        self.backend = Backend(self.embeddings, self.control, self.ranker, args, "replica-7", authenticator)
        self._app = create_app(self.backend, names_answers=names_answers)

    def transport(self) -> httpx.ASGITransport:
        """For other clients; an exception that escapes the application fails the test."""
        return httpx.ASGITransport(self._app)

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        async def call() -> httpx.Response:
            async with httpx.AsyncClient(transport=self.transport(), base_url="http://service") as client:
                return await client.request(method, path, **options)

        return asyncio.run(call())

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        return self.request("POST", path, **options)


def image_service(*more: FakeEncoder) -> Service:
    """A model of texts, one of texts and images, and others."""
    return Service(FakeEncoder(), FakeEncoder("makers/pictures", ("image", "text")), *more)


def error_of(answer: httpx.Response) -> dict[str, Any]:
    """The error, its form checked."""
    assert answer.headers["content-type"] == "application/json"
    [(name, error)] = answer.json().items()
    assert name == "error"
    assert list(error) == ["code", "message", "param", "requestId"]
    return dict(error)


def good(answer: httpx.Response) -> Any:
    """What a 200 has in its body."""
    assert answer.status_code == 200, answer.text
    return answer.json()
