"""A process's side of the cluster's metrics: it reports its own, and an ingress reads everybody's.

Metrics never fail a request: what can't be reached is left out, and said. How calls travel is the transport's
business.
"""

import asyncio
import uuid
from dataclasses import dataclass, field
from typing import Protocol

from app.telemetry.cluster_metrics import Departed, Reading, Report, Word
from app.telemetry.registry import Registry

RETRY_S = 1.0


class MetricsTransport(Protocol):
    """Calls on the shared metrics; any exception means "not reached"."""

    async def report(self, report: Report) -> Word: ...
    async def read(self, report: Report) -> Reading: ...


@dataclass(slots=True, eq=False)
class MetricsClient:
    """Runs on one event loop; `run` must be running.

    Args:
        patience_s: Longest a report may take, its parking included.
        deadline_s: Longest a reading may take.
    """

    transport: MetricsTransport
    registry: Registry
    patience_s: float = 4.0
    deadline_s: float = 1.0
    source: str = field(default_factory=lambda: uuid.uuid4().hex)
    _number: int = 0
    _life: str = ""
    _departed: Departed = field(default_factory=Departed)
    _hand_over: bool = False

    async def run(self) -> None:
        """Report until cancelled."""
        while True:
            report = self._report()
            try:
                # Not `wait_for`: on Python 3.11 it may swallow the cancellation that ends this loop.
                async with asyncio.timeout(self.patience_s):
                    word = await self.transport.report(report)
            except Exception:  # noqa: BLE001 - whatever went wrong, there will be another report
                await asyncio.sleep(RETRY_S)
                continue
            self._heard(word)

    async def read(self) -> Reading:
        """The cluster's numbers; this process's own, and not complete, where it can't be asked in time."""
        try:
            async with asyncio.timeout(self.deadline_s):
                return await self.transport.read(self._report())
        except Exception:  # noqa: BLE001 - a scrape is answered with what there is
            return Reading(self.registry.snapshot(), complete=False)

    async def close(self) -> None:
        """Leave the last numbers; best effort."""
        try:
            async with asyncio.timeout(self.deadline_s):
                await self.transport.report(self._report(last=True))
        except Exception:  # noqa: BLE001 - the last second is lost
            return

    def _report(self, *, last: bool = False) -> Report:
        self._number += 1
        departed = self._departed if self._hand_over else None
        known = (self._life, self._departed.version)
        return Report(self.source, self._number, self.registry.snapshot(), departed, known, last)

    def _heard(self, word: Word) -> None:
        # An actor that begins anew has lost what the departed left; ours may know more than it was told since.
        self._hand_over = (
            word.departed is not None and word.life != self._life and word.departed.version < self._departed.version
        )
        self._life = word.life
        if word.departed is not None and not self._hand_over:
            self._departed = word.departed
