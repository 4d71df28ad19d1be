"""Writes a snapshot in Prometheus' text format, using Prometheus' library."""

from collections.abc import Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from app.telemetry.metrics import METRICS, Metric
from app.telemetry.registry import Series, Snapshot

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4


def text(snapshot: Snapshot) -> bytes:
    """All metrics that have a value, in UTF-8."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(snapshot))
    return generate_latest(registry)


class _Collector(Collector):
    def __init__(self, snapshot: Snapshot) -> None:
        self._values = snapshot.totals | snapshot.sums | snapshot.peaks | snapshot.own

    def describe(self) -> list[Family]:
        return []

    def collect(self) -> Iterator[Family]:
        for metric in METRICS:
            if series := self._values.get(metric.name):
                yield _family(metric, series)


def _family(metric: Metric, series: Series) -> Family:
    width = len(metric.buckets) + 2 if metric.kind == "histogram" else 1
    # Sorted, so that equal numbers give equal text. Histograms of other code versions have other buckets: skipped.
    rows = sorted((labels, cells) for labels, cells in series.items() if len(cells) == width)
    if metric.kind == "histogram":
        histogram = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
        bounds = [*(repr(bound) for bound in metric.buckets), "+Inf"]
        for labels, cells in rows:
            counts = list(zip(bounds, accumulate(cells[:-1]), strict=True))
            histogram.add_metric(labels, counts, cells[-1])
        return histogram
    family: CounterMetricFamily | GaugeMetricFamily
    if metric.kind == "counter":
        family = CounterMetricFamily(metric.name, metric.help, labels=metric.labels)
    else:
        family = GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)
    for labels, cells in rows:
        family.add_metric(labels, cells[0])
    return family
