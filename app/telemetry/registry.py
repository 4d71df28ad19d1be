"""Registry: the metrics of one process, and the merging of several. Pure; owned by one thread or event loop."""

from bisect import bisect_left
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from operator import add

from app.telemetry.metrics import METRICS, Metric

Series = dict[tuple[str, ...], list[float]]
"""By label values: [value]; for a histogram the count of each bucket, not cumulative, the last one without an upper
bound, and then the sum."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Values by metric name, grouped by how they merge: `totals` (counters, histograms) survive the process, `sums` are
    gauges that are added, of `peaks` the largest counts, and series in `own` end with the process."""

    totals: dict[str, Series] = field(default_factory=dict)
    sums: dict[str, Series] = field(default_factory=dict)
    peaks: dict[str, Series] = field(default_factory=dict)
    own: dict[str, Series] = field(default_factory=dict)

    def since(self, totals: dict[str, Series]) -> "Snapshot":
        """The same with what was counted since `totals`; a series that has not changed is left out."""
        counted: dict[str, Series] = {}
        for name, series in self.totals.items():
            before = totals.get(name, {})
            for labels, cells in series.items():
                old = before.get(labels)
                if old is None:
                    counted.setdefault(name, {})[labels] = cells
                elif old != cells:
                    counted.setdefault(name, {})[labels] = [x - y for x, y in zip(cells, old, strict=True)]
        return replace(self, totals=counted)


class Registry:
    """Counts metrics, in about a microsecond. `collectors` run before each snapshot: they `set` the others."""

    def __init__(self) -> None:
        self.collectors: list[Callable[[], None]] = []
        self._values: dict[str, Series] = {metric.name: {} for metric in METRICS}

    def count(self, metric: Metric, *labels: str, by: float = 1.0) -> None:
        """Increase a counter, or a gauge that is the sum of several parts."""
        series = self._values[metric.name]
        cell = series.get(labels)
        if cell is None:
            series[labels] = [by]
        else:
            cell[0] += by

    def observe(self, metric: Metric, value: float, *labels: str) -> None:
        """Add a value to a histogram."""
        series = self._values[metric.name]
        cells = series.get(labels)
        if cells is None:
            cells = series[labels] = [0.0] * (len(metric.buckets) + 2)
        cells[bisect_left(metric.buckets, value)] += 1
        cells[-1] += value

    def set(self, metric: Metric, value: float, *labels: str) -> None:
        """Set a gauge, or a total that is kept elsewhere."""
        self._values[metric.name][labels] = [float(value)]

    def snapshot(self) -> Snapshot:
        for metric in METRICS:
            if metric.kind == "gauge":
                self._values[metric.name].clear()  # a label that no longer exists must not keep its last value
        for collect in self.collectors:
            collect()
        taken = Snapshot()
        for metric in METRICS:
            if series := self._values[metric.name]:
                _part(taken, metric)[metric.name] = {labels: list(cells) for labels, cells in series.items()}
        return taken


def merged(snapshots: Iterable[Snapshot]) -> Snapshot:
    """Merge snapshots into the cluster's, without modifying them."""
    whole = Snapshot()
    for one in snapshots:
        add_to(whole, one)
    return whole


def add_to(whole: Snapshot, part: Snapshot) -> None:
    """`whole` changes, `part` stays as it is."""
    _add(whole.totals, part.totals, add)
    _add(whole.sums, part.sums, add)
    _add(whole.peaks, part.peaks, max)
    _add(whole.own, part.own, add)


def _part(snapshot: Snapshot, metric: Metric) -> dict[str, Series]:
    if metric.per_replica:
        return snapshot.own
    if metric.kind != "gauge":
        return snapshot.totals
    return snapshot.sums if metric.merge == "sum" else snapshot.peaks


def _add(whole: dict[str, Series], part: dict[str, Series], join: Callable[[float, float], float]) -> None:
    for name, series in part.items():
        known = whole.setdefault(name, {})
        for labels, cells in series.items():
            have = known.get(labels)
            # Histograms of another code version may have other buckets, which can't be added.
            if have is None:
                known[labels] = list(cells)
            elif len(have) == len(cells):
                known[labels] = list(map(join, have, cells))
