"""MetricsActor, an application's counts as a named Ray actor, and every replica's way to it."""

import asyncio

from app.telemetry import tracing
from app.telemetry.cluster_metrics import MetricsClient, SharedMetrics
from app.telemetry.process_metrics import record_process
from app.telemetry.registry import Registry
from deployments.named_actor import NamedActor, actor_name

# A detached actor outlives redeploys with the code that it began with: a new protocol needs a new kind.
KIND = "metrics-v2"


class MetricsActor(SharedMetrics):
    """`SharedMetrics`, under the name that its process is known by."""


class Reporter:
    """A replica's registry, and its way to the application's counts. Made on the event loop that it reports from."""

    def __init__(self, application: str, deployment: str, replica: str) -> None:
        self.registry = Registry()
        actor = NamedActor(MetricsActor, actor_name(application, KIND))
        self.client = MetricsClient(actor.call, self.registry)
        record_process(self.registry, deployment, replica)
        self._task = asyncio.get_running_loop().create_task(self.client.run())

    async def close(self) -> None:
        """The replica ends: send its last numbers and spans."""
        self._task.cancel()
        await self.client.close()
        await asyncio.to_thread(tracing.stop)
