"""The cluster's counts: what every process reported last, and the totals of those that have gone.

`deployments.metrics` puts it into an actor. Each process keeps one `report` parked here; a `read` wakes them all,
so that its answer has everybody's numbers of now. Totals never fall: a process that ends leaves its own behind. The
processes keep a copy of what the departed left and hand it to an actor that was restarted and knows nothing.
"""

import asyncio
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from app.telemetry.registry import Snapshot, merged

PARK_S = 1.0
# A process that was silent for so long is gone, until it is heard again.
LIVE_S = 10.0
# So long after the start everybody has been heard, and what the departed left has been handed over.
SETTLE_S = 2.5
# One by one are kept so many of the departed; then their totals are one, and none of them can come back.
KEEP_DEPARTED_S = 3600.0
MAX_DEPARTED = 64
_ALL_OTHERS = ""


@dataclass(frozen=True, slots=True)
class Departed:
    """What is left of those that have gone, by process. A higher version knows more."""

    version: int = 0
    totals: dict[str, Snapshot] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Report:
    """One process's numbers.

    Args:
        source: One life of one process: what is started again is another.
        number: Counts up; what overtook an older report is not undone by it.
        departed: Handed over to an actor that has just begun.
        known: The actor's life and the version of `Departed` that the process has from it.
        last: The process ends.
    """

    source: str
    number: int
    snapshot: Snapshot
    departed: Departed | None = None
    known: tuple[str, int] = ("", 0)
    last: bool = False


@dataclass(frozen=True, slots=True)
class Word:
    """The actor's answer; `departed` only where the process does not know it yet."""

    life: str
    departed: Departed | None


@dataclass(frozen=True, slots=True)
class Reading:
    """The cluster's numbers; `complete` is False while the actor has not heard everybody yet."""

    snapshot: Snapshot
    complete: bool


@dataclass(slots=True)
class _Process:
    number: int
    snapshot: Snapshot
    seen: float
    round: int


@dataclass(slots=True, eq=False)
class SharedMetrics:
    """Belongs to one event loop."""

    clock: Callable[[], float] = time.monotonic
    _life: str = field(default_factory=lambda: uuid.uuid4().hex)
    _began: float = field(init=False)
    _live: dict[str, _Process] = field(default_factory=dict)
    _departed: Departed = field(default_factory=Departed)
    _left_at: dict[str, float] = field(default_factory=dict)
    _round: int = 0
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _heard: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self._began = self.clock()

    async def report(self, report: Report) -> Word:
        """Take a process's numbers; park until somebody reads, at most `PARK_S`."""
        known = report.source in self._live
        self._take(report)
        if known and not report.last and report.known == (self._life, self._departed.version):
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), PARK_S)
        told = report.known == (self._life, self._departed.version)
        return Word(self._life, None if told else self._departed)

    async def read(self, report: Report, patience_s: float = 0.2) -> Reading:
        """The cluster's numbers of now; of a process that does not answer in time, its last."""
        self._take(report)
        self._round += 1
        target = self._round
        self._live[report.source].round = target
        self._wake.set()
        self._wake = asyncio.Event()
        give_up = self.clock() + patience_s
        while any(process.round < target for process in self._live.values()):
            left = give_up - self.clock()
            if left <= 0:
                break
            with suppress(TimeoutError):
                await asyncio.wait_for(self._heard.wait(), left)
        self._bury()
        everybody = [process.snapshot for process in self._live.values()]
        settled = self.clock() - self._began >= SETTLE_S
        return Reading(merged([*everybody, *self._departed.totals.values()]), settled)

    def _take(self, report: Report) -> None:
        given = report.departed
        if given is not None and given.version > self._departed.version:
            # Only an actor that has just begun is given any; whoever lives is not among the departed.
            totals = {source: left for source, left in given.totals.items() if source not in self._live}
            self._departed = Departed(given.version + 1, totals | self._departed.totals)
        before = self._live.get(report.source)
        if before is None or report.number > before.number:
            self._live[report.source] = _Process(report.number, report.snapshot, self.clock(), self._round)
        else:
            before.seen = self.clock()
        if report.source in self._departed.totals:
            self._set_departed({s: left for s, left in self._departed.totals.items() if s != report.source})
        if report.last:
            self._leave(report.source)
        self._bury()
        self._heard.set()
        self._heard = asyncio.Event()

    def _leave(self, source: str) -> None:
        left = self._live.pop(source).snapshot.lasting()
        self._left_at[source] = self.clock()
        self._set_departed(self._departed.totals | {source: left})

    def _bury(self) -> None:
        now = self.clock()
        for source in [s for s, process in self._live.items() if now - process.seen > LIVE_S]:
            self._leave(source)
        totals = self._departed.totals
        named = [source for source in totals if source != _ALL_OTHERS]  # the longest gone first
        surplus = set(named[: max(0, len(named) - MAX_DEPARTED)])
        old = [s for s in named if s in surplus or now - self._left_at.setdefault(s, now) > KEEP_DEPARTED_S]
        if old:
            one = merged(totals[source] for source in [_ALL_OTHERS, *old] if source in totals)
            for source in old:
                self._left_at.pop(source, None)
            self._set_departed({s: left for s, left in totals.items() if s not in {_ALL_OTHERS, *old}})
            self._departed.totals[_ALL_OTHERS] = one

    def _set_departed(self, totals: dict[str, Snapshot]) -> None:
        self._departed = Departed(self._departed.version + 1, totals)
