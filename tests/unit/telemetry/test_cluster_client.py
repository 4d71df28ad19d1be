"""A process's way to the cluster's counts when the other end is lost, slow or new."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from app.telemetry import cluster_metrics
from app.telemetry.cluster_metrics import ClusterReading, MetricsClient, MetricsReport, SharedMetrics
from app.telemetry.metrics import REQUESTS
from app.telemetry.registry import Registry
from tests.support.aio import turns, until

LABELS = ("/embed/text", "POST", "200")


@dataclass
class Wire:
    """Reaches the shared metrics of now; `fault` is what every call meets instead, `loses` what becomes of answers."""

    shared: SharedMetrics = field(default_factory=SharedMetrics)
    fault: Exception | None = None
    loses: Exception | None = None
    hangs: bool = False
    reports: list[MetricsReport] = field(default_factory=list)

    async def call(self, method: str, *args: Any) -> Any:
        return await getattr(self, method)(*args)

    async def report(self, report: MetricsReport) -> None:
        await self._meet()
        self.reports.append(report)
        await self.shared.report(report)
        if self.loses is not None:
            raise self.loses

    async def read(self) -> ClusterReading:
        await self._meet()
        return await self.shared.read()

    async def _meet(self) -> None:
        if self.hangs:
            await asyncio.Event().wait()
        if self.fault is not None:
            raise self.fault


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_metrics, "RETRY_S", 0.0)


def client_of(wire: Wire, requests: int, **options: float) -> MetricsClient:
    registry = Registry()
    registry.count(REQUESTS, *LABELS, by=requests)
    return MetricsClient(wire.call, registry, **options)  # type: ignore[arg-type]


def requests_in(reading: ClusterReading) -> float:
    return reading.snapshot.totals[REQUESTS.name][LABELS][0]


async def test_reading_brings_everybodys_numbers_of_now() -> None:
    wire = Wire()
    client, other = client_of(wire, 4), client_of(wire, 30)
    tasks = [asyncio.create_task(each.run()) for each in (client, other)]
    await turns()
    assert requests_in(await client.read()) == 34
    client.registry.count(REQUESTS, *LABELS)
    other.registry.count(REQUESTS, *LABELS)
    assert requests_in(await client.read()) == 36
    for task in tasks:
        task.cancel()


async def test_what_is_out_of_reach_leaves_the_own_numbers_and_says_so() -> None:
    for wire in (Wire(fault=ConnectionError()), Wire(hangs=True)):
        reading = await client_of(wire, 4, deadline_s=0.001).read()
        assert requests_in(reading) == 4
        assert not reading.complete
        await client_of(wire, 4, deadline_s=0.001).close()


async def test_a_lost_answer_has_the_same_report_sent_again() -> None:
    wire = Wire(loses=ConnectionError())
    client = client_of(wire, 4)
    task = asyncio.create_task(client.run())
    await until(lambda: len(wire.reports) >= 1)
    client.registry.count(REQUESTS, *LABELS, by=10)
    wire.loses = None
    await until(lambda: len(wire.reports) >= 3)
    counts = [report.snapshot.totals.get(REQUESTS.name) for report in wire.reports[:3]]
    assert counts == [{LABELS: [4.0]}, {LABELS: [4.0]}, {LABELS: [10.0]}]
    assert [report.sequence for report in wire.reports[:3]] == [1, 1, 2]
    assert requests_in(await client.read()) == 14
    task.cancel()


@pytest.mark.parametrize("answered", [True, False])
async def test_the_last_numbers_stay_when_the_process_has_closed(answered: bool) -> None:
    wire = Wire()
    ending = client_of(wire, 30)
    task = asyncio.create_task(ending.run())
    await until(lambda: len(wire.reports) == 2)  # the second is parked
    ending.registry.count(REQUESTS, *LABELS, by=4)
    if answered:
        await wire.shared.read(patience_s=0)
        await until(lambda: len(wire.reports) == 3)
    task.cancel()
    await ending.close()
    assert wire.reports[-1].last
    reading = await client_of(wire, 0).read()
    assert requests_in(reading) == 34
    assert reading.snapshot.own == {}


async def test_an_actor_that_is_restarted_counts_from_zero() -> None:
    async def until_parked(wire: Wire, reports: int) -> float:
        await until(lambda: len(wire.reports) == reports)
        return requests_in(await wire.shared.read(patience_s=0))

    wire = Wire()
    client = client_of(wire, 30)
    task = asyncio.create_task(client.run())
    assert await until_parked(wire, 2) == 30
    old, wire.shared = wire.shared, SharedMetrics()
    await old.read(patience_s=0)  # ends the report that is parked there
    client.registry.count(REQUESTS, *LABELS, by=4)
    await until(lambda: len(wire.reports) >= 4)
    assert requests_in(await client.read()) == 4
    task.cancel()
