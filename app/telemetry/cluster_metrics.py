"""The cluster's counts: what all processes have counted, and the gauges of those that are alive.

`SharedMetrics` is an actor of `deployments.metrics`, each process has a `MetricsClient` with one `report` parked there.
A `read` wakes them all, so that its answer has everybody's numbers of now. Only the actor knows the totals: they
outlive the processes, and begin at zero when it is restarted, which Prometheus takes for an ordinary reset of counters.
Metrics never fail a request: what can't be reached is left out, and said.
"""

import asyncio
import math
import time
import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from app.telemetry.registry import Registry, Series, Snapshot, add_to, merged

RETRY_S = 1.0  # after a report that did not arrive
PARK_S = 1.0
IDLE_PARK_S = 60.0  # the same of a process that has counted nothing since its last report
LIVE_S = 12.0  # who has not come back for so long after a read or its parking has no gauges, until it is heard again
SETTLE_S = 2.5  # so long after the start everybody has been heard
MAX_SOURCES = 10_000  # sequence numbers are kept of so many processes, the last heard of all


@dataclass(frozen=True, slots=True)
class MetricsReport:
    """One process's numbers: totals since its report before, all else as it is now. `source`: one life of one process.
    `sequence` counts up with each report; one that is sent again keeps its own. `last`: the process ends."""

    source: str
    sequence: int
    snapshot: Snapshot
    last: bool = False


@dataclass(frozen=True, slots=True)
class ClusterReading:
    """The cluster's numbers; `complete` is False while the actor has not heard everybody yet."""

    snapshot: Snapshot
    complete: bool


@dataclass(slots=True)
class _Process:
    gauges: Snapshot
    seen: float
    round: int
    woken: float = math.inf  # by the first read since


@dataclass(slots=True, eq=False)
class SharedMetrics:
    """Belongs to one event loop."""

    clock: Callable[[], float] = time.monotonic
    _began: float = field(init=False)
    _totals: Snapshot = field(default_factory=Snapshot)
    _sequences: dict[str, int] = field(default_factory=dict)
    _live: dict[str, _Process] = field(default_factory=dict)
    _round: int = 0
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _heard: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self._began = self.clock()

    async def report(self, report: MetricsReport) -> None:
        """Take a process's numbers; park until somebody reads, at most `PARK_S`; `IDLE_PARK_S` without news."""
        known = report.source in self._live
        self._take(report)
        if known and not report.last:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), PARK_S if report.snapshot.totals else IDLE_PARK_S)

    async def read(self, patience_s: float = 0.2) -> ClusterReading:
        """The cluster's numbers of now; of a process that does not answer in time, its last."""
        self._round += 1
        target = self._round
        self._wake.set()
        self._wake = asyncio.Event()
        give_up = self.clock() + patience_s
        for process in self._live.values():
            process.woken = min(process.woken, self.clock())
        self._expire()
        while any(process.round < target for process in self._live.values()):
            left = give_up - self.clock()
            if left <= 0:
                break
            with suppress(TimeoutError):
                await asyncio.wait_for(self._heard.wait(), left)
        settled = self.clock() - self._began >= SETTLE_S
        return ClusterReading(merged([self._totals, *(process.gauges for process in self._live.values())]), settled)

    def _take(self, report: MetricsReport) -> None:
        source, now = report.source, self.clock()
        before = self._sequences.pop(source, 0)
        self._sequences[source] = max(before, report.sequence)
        if report.sequence > before:
            add_to(self._totals, Snapshot(totals=report.snapshot.totals))
        if len(self._sequences) > MAX_SOURCES:
            del self._sequences[next(iter(self._sequences))]
        if report.last:
            self._live.pop(source, None)
        elif report.sequence >= before:
            self._live[source] = _Process(replace(report.snapshot, totals={}), now, self._round)
        self._expire()
        self._heard.set()
        self._heard = asyncio.Event()

    def _expire(self) -> None:
        now = self.clock()
        for source, process in list(self._live.items()):
            if now - min(process.woken, process.seen + IDLE_PARK_S) > LIVE_S:
                del self._live[source]


@dataclass(slots=True, eq=False)
class MetricsClient:
    """Runs on one event loop, while `run` does. `call`: of a method of `SharedMetrics`, by name; whatever it raises
    means "not reached". `patience_s` is for a report, parking included, `deadline_s` for a reading."""

    call: Callable[..., Awaitable[Any]]
    registry: Registry
    patience_s: float = IDLE_PARK_S + 3.0
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
                reading: ClusterReading = await self.call("read")
                return reading
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
        await self.call("report", replace(self._unanswered, last=last))
        self._unanswered = None
