"""MetricsActor, the cluster's counts as a named Ray actor, and every replica's way to it."""

import asyncio
from typing import Any

from ray.exceptions import RayActorError

from app.telemetry.cluster_client import MetricsClient
from app.telemetry.cluster_metrics import Reading, Report, SharedMetrics, Word
from app.telemetry.process_metrics import ProcessMetrics
from app.telemetry.registry import Registry
from deployments.named_actor import shared_actor

# A detached actor outlives redeploys with the code that it began with: a new protocol needs a new name.
ACTOR_NAME = "embedding-metrics-v1"
NAMESPACE = "embedding-service"
MAX_PARKED = 1000


class MetricsActor:
    """All logic is `SharedMetrics`'s; async methods put it on one event loop."""

    def __init__(self) -> None:
        self._metrics = SharedMetrics()

    async def report(self, report: Report) -> Word:
        return await self._metrics.report(report)

    async def read(self, report: Report) -> Reading:
        return await self._metrics.read(report)


class MetricsActorTransport:
    """Calls on the actor, whichever process it lives in now; see `deployments.cache.ActorTransport`."""

    def __init__(self) -> None:
        self._handle: Any = None

    async def report(self, report: Report) -> Word:
        return await self._call("report", report)  # type: ignore[no-any-return]

    async def read(self, report: Report) -> Reading:
        return await self._call("read", report)  # type: ignore[no-any-return]

    async def _call(self, method: str, report: Report) -> Any:
        if self._handle is None:
            self._handle = _actor()
        try:
            return await getattr(self._handle, method).remote(report)
        except RayActorError:
            self._handle = None
            raise


class Reporter:
    """A replica's registry, and its way to the cluster's counts. Made on the event loop that it reports from."""

    def __init__(self, deployment: str, replica: str) -> None:
        self.registry = Registry()
        self.client = MetricsClient(MetricsActorTransport(), self.registry)
        ProcessMetrics(self.registry, deployment, replica)
        self._task = asyncio.get_running_loop().create_task(self.client.run())

    async def close(self) -> None:
        """The replica ends: leave its last numbers."""
        self._task.cancel()
        await self.client.close()


def _actor() -> Any:
    """The cluster's metrics actor; the first to ask creates it."""
    return shared_actor(MetricsActor, ACTOR_NAME, NAMESPACE, MAX_PARKED)
