"""The cluster's counts: what all processes have counted, and the gauges of those that are alive; an actor of
`deployments.metrics`. Each process keeps one `report` parked here; a `read` wakes them all, so that its answer has
everybody's numbers of now. Only this actor knows the totals: they outlive the processes, and begin at zero when it is
restarted, which Prometheus takes for an ordinary reset of counters."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace

from app.telemetry.registry import Snapshot, add_to, merged

PARK_S = 1.0
# The same of a process that has counted nothing since its last report.
IDLE_PARK_S = 8.0
# The gauges of a process that was silent for so long expire, until it is heard again.
LIVE_S = 12.0
# So long after the start everybody has been heard.
SETTLE_S = 2.5
# Sequence numbers are kept of so many processes, the last heard of all.
MAX_SOURCES = 10_000


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
        for source in [source for source, process in self._live.items() if now - process.seen > LIVE_S]:
            del self._live[source]
