"""Prometheus's text format, written by its own library from a snapshot."""

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
    """UTF-8, every metric of the table that has a value."""
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
    # In order, so that two scrapes of the same numbers are the same text. Another version's buckets are left out.
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
