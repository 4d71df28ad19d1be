"""Totals of the cluster count everything once, whoever comes and goes; gauges are those of who lives."""

import asyncio
from dataclasses import replace

import pytest

from app.telemetry import cluster_metrics
from app.telemetry.cluster_metrics import LIVE_S, SETTLE_S, MetricsReport, SharedMetrics
from app.telemetry.metrics import CPU_SECONDS, QUEUED, REQUESTS
from app.telemetry.registry import Snapshot
from tests.support.aio import Clock, turns

LABELS = ("/embed/text", "POST", "200")


class Process:
    """Reports `requests` more than before."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.sequence = 0

    def says(self, requests: int, waiting: int = 0, *, last: bool = False) -> MetricsReport:
        self.sequence += 1
        snapshot = Snapshot(
            totals={REQUESTS.name: {LABELS: [float(requests)]}} if requests else {},
            sums={QUEUED.name: {("m", "ingress"): [float(waiting)]}},
            own={CPU_SECONDS.name: {("Ingress", self.source): [1.0]}},
        )
        return MetricsReport(self.source, self.sequence, snapshot, last)


async def total(metrics: SharedMetrics) -> float:
    reading = await metrics.read(patience_s=0)
    return reading.snapshot.totals[REQUESTS.name][LABELS][0]


async def gauges(metrics: SharedMetrics) -> tuple[float, list[str]]:
    """(what waits at all processes, the processes)."""
    snapshot = (await metrics.read(patience_s=0)).snapshot
    waiting = snapshot.sums.get(QUEUED.name, {}).get(("m", "ingress"), [0.0])
    return waiting[0], sorted(replica for _, replica in snapshot.own.get(CPU_SECONDS.name, {}))


@pytest.fixture(autouse=True)
def nothing_parks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_metrics, "PARK_S", 0.0)
    monkeypatch.setattr(cluster_metrics, "IDLE_PARK_S", 0.0)


async def test_totals_add_up_and_gauges_are_the_last() -> None:
    metrics, a, b = SharedMetrics(Clock()), Process("a"), Process("b")
    for report in (a.says(3, 5), b.says(4, 1), a.says(5, 2), a.says(0, 3)):
        await metrics.report(report)
    assert await total(metrics) == 12
    assert await gauges(metrics) == (4, ["a", "b"])
    assert await total(metrics) == 12  # a reading changes nothing


async def test_a_report_that_is_sent_again_is_added_once() -> None:
    metrics, a = SharedMetrics(Clock()), Process("a")
    first = a.says(3)
    for report in (first, first, second := a.says(4), second, first):
        await metrics.report(report)
    assert await total(metrics) == 7


async def test_what_a_silent_process_sends_again_is_added_once() -> None:
    clock = Clock()
    metrics, a = SharedMetrics(clock), Process("a")
    report = a.says(3, 5)
    await metrics.report(report)
    clock.now += LIVE_S
    assert await gauges(metrics) == (5, ["a"])
    clock.now += 0.1
    assert await gauges(metrics) == (0, [])
    assert await total(metrics) == 3
    await metrics.report(report)
    assert await gauges(metrics) == (5, ["a"])
    assert await total(metrics) == 3


@pytest.mark.parametrize("reads", [True, False])
async def test_who_parks_is_silent_until_a_read_wakes_it(reads: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_metrics, "IDLE_PARK_S", 30.0)
    clock = Clock()
    metrics, a, b = SharedMetrics(clock), Process("a"), Process("b")
    for process in (a, b):
        await metrics.report(process.says(1, 5))
    clock.now += 1
    if reads:
        assert await gauges(metrics) == (10, ["a", "b"])
        await metrics.report(a.says(1, 5))
    clock.now += LIVE_S
    assert await gauges(metrics) == (10, ["a", "b"])
    clock.now += 0.1
    # Without a read, all that is known is when each would have come back by itself.
    assert await gauges(metrics) == ((5, ["a"]) if reads else (10, ["a", "b"]))


async def test_a_process_that_ends_leaves_its_totals_and_takes_its_gauges() -> None:
    metrics, a = SharedMetrics(Clock()), Process("a")
    await metrics.report(a.says(3, 5))
    lost = a.says(4, 5)
    await metrics.report(replace(lost, last=True))
    await metrics.report(replace(lost, last=True))
    await metrics.report(a.says(1, last=True))
    assert await gauges(metrics) == (0, [])
    assert await total(metrics) == 8
    await metrics.report(Process("a, started again").says(1))
    assert await total(metrics) == 9


async def test_sequence_numbers_are_kept_of_the_last_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_metrics, "MAX_SOURCES", 2)

    metrics, processes = SharedMetrics(Clock()), [Process(name) for name in "abc"]
    reports = [process.says(1) for process in processes]
    for report in (*reports, reports[1], reports[2]):
        await metrics.report(report)
    assert await total(metrics) == 3
    await metrics.report(reports[0])  # forgotten
    assert await total(metrics) == 4


async def test_it_is_complete_once_everybody_has_been_heard() -> None:
    clock = Clock()
    metrics = SharedMetrics(clock)
    assert not (await metrics.read(patience_s=0)).complete
    clock.now += SETTLE_S
    assert (await metrics.read(patience_s=0)).complete


async def test_reading_calls_everybody_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_metrics, "IDLE_PARK_S", 60.0)

    metrics, a = SharedMetrics(), Process("a")
    await metrics.report(a.says(1))  # the first does not park
    parked = asyncio.create_task(metrics.report(a.says(0)))
    await turns()
    assert not parked.done()
    reading = asyncio.create_task(metrics.read(patience_s=5))
    await turns()
    assert (parked.done(), reading.done()) == (True, False)
    again = asyncio.create_task(metrics.report(a.says(5)))
    assert (await reading).snapshot.totals[REQUESTS.name][LABELS] == [6.0]
    again.cancel()
