"""A process's side of the cluster's metrics: it reports its own, and an ingress reads everybody's. Metrics never fail a
request: what can't be reached is left out, and said."""

import asyncio
import uuid
from dataclasses import dataclass, field, replace
from typing import Protocol

from app.telemetry.cluster_metrics import ClusterReading, MetricsReport
from app.telemetry.registry import Registry, Series

RETRY_S = 1.0


class MetricsTransport(Protocol):
    """Calls on the shared metrics; any exception means "not reached"."""

    async def report(self, report: MetricsReport) -> None: ...
    async def read(self) -> ClusterReading: ...


@dataclass(slots=True, eq=False)
class MetricsClient:
    """Runs on one event loop, while `run` does. `patience_s`: for a report, its parking included; `deadline_s`: for a
    reading."""

    transport: MetricsTransport
    registry: Registry
    patience_s: float = 11.0
    deadline_s: float = 1.0
    source: str = field(default_factory=lambda: uuid.uuid4().hex)
    _sequence: int = 0
    _unanswered: MetricsReport | None = None
    _reported: dict[str, Series] = field(default_factory=dict)

    async def run(self) -> None:
        """Report until cancelled."""
        while True:
            try:
                # Not `wait_for`: on Python 3.11 it may swallow the cancellation that ends this loop.
                async with asyncio.timeout(self.patience_s):
                    await self._report()
            except Exception:  # noqa: BLE001 - whatever went wrong, the report is sent again
                await asyncio.sleep(RETRY_S)

    async def read(self) -> ClusterReading:
        """The cluster's numbers; this process's own, and not complete, where it can't be asked in time."""
        try:
            async with asyncio.timeout(self.deadline_s):
                return await self.transport.read()
        except Exception:  # noqa: BLE001 - a scrape is answered with what there is
            return ClusterReading(self.registry.snapshot(), complete=False)

    async def close(self) -> None:
        """Send the last numbers; best effort. `run` must have been cancelled."""
        try:
            async with asyncio.timeout(self.deadline_s):
                if self._unanswered is not None:
                    await self._report(last=True)
                await self._report(last=True)
        except Exception:  # noqa: BLE001 - the last second is lost
            return

    async def _report(self, *, last: bool = False) -> None:
        """Send what was counted since the last report, or that report again, unchanged, if it was not answered."""
        if self._unanswered is None:
            self._sequence += 1
            snapshot = self.registry.snapshot()
            self._unanswered = MetricsReport(self.source, self._sequence, snapshot.since(self._reported))
            self._reported = snapshot.totals
        await self.transport.report(replace(self._unanswered, last=last))
        self._unanswered = None
