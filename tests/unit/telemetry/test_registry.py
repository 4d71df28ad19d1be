"""Counting in one process, and the sum of several: sums are exact, what was given stays as it is."""

from bisect import bisect_left
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.telemetry.metrics import (
    BATCH_SIZE,
    CACHE_LOOKUPS,
    COMPLETE,
    GC_RUNS,
    METRICS,
    QUEUED,
    READY,
    REQUEST_SECONDS,
    REQUESTS,
    SECONDS,
)
from app.telemetry.registry import Registry, Snapshot, merged

DURATIONS = st.lists(st.integers(0, 40_000_000).map(lambda us: us / 1e6), max_size=60)


def observed(*durations: float) -> Snapshot:
    registry = Registry()
    for seconds in durations:
        registry.observe(REQUEST_SECONDS, seconds, "/embed/text")
    return registry.snapshot()


def test_a_counter_counts_by_label() -> None:
    registry = Registry()
    registry.count(REQUESTS, "/a", "GET", "200")
    registry.count(REQUESTS, "/a", "GET", "200", by=4)
    registry.count(REQUESTS, "/a", "GET", "404")
    assert registry.snapshot() == Snapshot(
        totals={REQUESTS.name: {("/a", "GET", "200"): [5.0], ("/a", "GET", "404"): [1.0]}}
    )


def test_a_bucket_includes_its_upper_bound() -> None:
    registry = Registry()
    for items in (1, 2, 3, 512, 513):
        registry.observe(BATCH_SIZE, items, "m")
    [cells] = registry.snapshot().totals[BATCH_SIZE.name].values()
    assert cells == [1, 1, 1, 0, 0, 0, 0, 0, 0, 1, 1, 1031]


def test_a_snapshot_stays_as_it_was_taken() -> None:
    registry = Registry()
    registry.count(REQUESTS, "/a", "GET", "200")
    taken = registry.snapshot()
    registry.count(REQUESTS, "/a", "GET", "200")
    assert taken.totals[REQUESTS.name] == {("/a", "GET", "200"): [1.0]}


def test_gauges_are_asked_for_anew_and_the_gone_are_gone() -> None:
    registry = Registry()
    models = {"a": 1, "b": 0}

    def collect() -> None:
        for name, up in models.items():
            registry.set(READY, up, name)

    registry.collectors.append(collect)
    assert registry.snapshot().peaks == {READY.name: {("a",): [1.0], ("b",): [0.0]}}
    del models["a"]
    assert registry.snapshot().peaks == {READY.name: {("b",): [0.0]}}


def test_each_kind_is_merged_in_its_own_way() -> None:
    def part(replica: str, ready: int, waiting: int, hits: int) -> Snapshot:
        registry = Registry()
        registry.set(GC_RUNS, 7, "Ingress", replica, "0")
        registry.set(CACHE_LOOKUPS, hits, "near", "hit")
        registry.collectors.append(lambda: registry.count(QUEUED, "m", "ingress", by=waiting))
        registry.collectors.append(lambda: registry.set(READY, ready, "m"))
        return registry.snapshot()

    parts = [part("r1", 0, 3, 10), part("r2", 1, 4, 20)]
    whole = merged(parts)
    assert whole.sums == {QUEUED.name: {("m", "ingress"): [7.0]}}
    assert whole.peaks == {READY.name: {("m",): [1.0]}}
    assert whole.totals == {CACHE_LOOKUPS.name: {("near", "hit"): [30.0]}}
    assert whole.own == {GC_RUNS.name: {("Ingress", "r1", "0"): [7.0], ("Ingress", "r2", "0"): [7.0]}}


def test_what_was_counted_since() -> None:
    registry = Registry()
    registry.count(REQUESTS, "/a", "GET", "200", by=3)
    registry.count(REQUESTS, "/a", "GET", "404")
    registry.observe(BATCH_SIZE, 2, "m")
    registry.collectors.append(lambda: registry.set(READY, 1, "m"))
    before = registry.snapshot()
    assert before.since({}) == before
    registry.count(REQUESTS, "/a", "GET", "200", by=4)
    registry.count(REQUESTS, "/b", "GET", "200")
    registry.observe(BATCH_SIZE, 512, "m")
    since = registry.snapshot().since(before.totals)
    assert since == Snapshot(
        totals={
            REQUESTS.name: {("/a", "GET", "200"): [4.0], ("/b", "GET", "200"): [1.0]},
            BATCH_SIZE.name: {("m",): [0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 512.0]},
        },
        peaks={READY.name: {("m",): [1.0]}},
    )
    assert merged([Snapshot(totals=before.totals), since]) == registry.snapshot()


@given(st.lists(DURATIONS, min_size=1, max_size=5))
def test_merged_buckets_are_those_of_all_observations(processes: Sequence[Sequence[float]]) -> None:
    parts = [observed(*durations) for durations in processes]
    before = [merged([part]) for part in parts]
    whole = merged(parts)
    everything = [seconds for durations in processes for seconds in durations]
    cells = whole.totals.get(REQUEST_SECONDS.name, {}).get(("/embed/text",))
    if not everything:
        assert cells is None
        return
    assert cells is not None
    expected = [0] * (len(SECONDS) + 1)
    for seconds in everything:
        expected[sum(seconds > bound for bound in SECONDS)] += 1
    assert cells[:-1] == expected
    assert cells[-1] == pytest.approx(sum(everything))
    assert parts == before


def test_percentiles_come_from_the_sum_and_not_from_an_average() -> None:
    # 99 fast requests here, one slow there: the average of both p50 would lie about half the requests.
    whole = merged([observed(*[0.0004] * 99), observed(9.0)])
    cells = whole.totals[REQUEST_SECONDS.name]["/embed/text",]
    assert cells[bisect_left(SECONDS, 0.0004)] == 99
    assert cells[bisect_left(SECONDS, 9.0)] == 1


def test_buckets_of_another_version_are_not_added_up() -> None:
    old = Snapshot(totals={BATCH_SIZE.name: {("m",): [1.0, 2.0]}})
    registry = Registry()
    registry.observe(BATCH_SIZE, 1, "m")
    # What there is stays: reports of a version that goes must not take the totals along.
    assert merged([old, registry.snapshot()]) == old
    assert merged([registry.snapshot(), old]) == registry.snapshot()


def test_the_table_keeps_prometheus_conventions() -> None:
    assert len({metric.name for metric in METRICS}) == len(METRICS)
    for metric in METRICS:
        assert metric.name.startswith("embedding_")
        assert metric.name.endswith("_total") == (metric.kind == "counter")
        assert metric.name.endswith("_seconds") or metric.kind != "histogram" or metric is BATCH_SIZE
        assert metric.help.endswith(".")
        assert bool(metric.buckets) == (metric.kind == "histogram")
        assert list(metric.buckets) == sorted(set(metric.buckets))
    assert SECONDS[0] < 0.001
    assert sum(bound < 0.001 for bound in SECONDS) >= 5
    assert COMPLETE.labels == ()
