"""The application over fakes, and requests to it without a network."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import httpx

from app.api import create_app
from app.api.backend import Backend
from app.ranking import Ranking, rank_json, rank_vectors
from app.service import EmbeddingService
from app.settings import Limits
from app.shared_cache import CacheStats
from app.types import Metric, Vector
from tests.service_fakes import FakeEncoder, service_of

FIGURES = CacheStats(5, 10, 2000, 4000, hits=3, near_hits=2, misses=1, evictions=6, expirations=7, clients=2)


@dataclass
class FakeControl:
    fault: Exception | None = None
    clears: int = 0

    async def clear(self) -> int:
        if self.fault is not None:
            raise self.fault
        self.clears += 1
        return 5

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

    async def rank(
        self, query: Vector, candidates: Vector, metric: Metric, top_k: int | None, threshold: float | None
    ) -> Ranking:
        return rank_vectors(query, candidates, metric, top_k, threshold)


class Service:
    """`service.post(...)` and the parts behind it."""

    def __init__(self, *encoders: FakeEncoder, names_answers: bool = True, **limits: Any) -> None:
        self.control = FakeControl()
        self.ranker = LocalRanker()
        self.embeddings: EmbeddingService = service_of(*encoders or [FakeEncoder()], **limits)
        self.backend = Backend(self.embeddings, self.control, self.ranker, self.embeddings.args, "replica-7")
        self._app = create_app(self.backend, names_answers=names_answers)

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        async def call() -> httpx.Response:
            transport = httpx.ASGITransport(self._app)  # an exception that escapes the application fails the test
            async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
                return await client.request(method, path, **options)

        return asyncio.run(call())

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        return self.request("POST", path, **options)


def error_of(answer: httpx.Response) -> dict[str, Any]:
    """The error, its form checked."""
    assert answer.headers["content-type"] == "application/json"
    [(name, error)] = answer.json().items()
    assert name == "error"
    assert list(error) == ["code", "message", "param", "requestId"]
    return dict(error)
