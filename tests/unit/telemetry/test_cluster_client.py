"""A process's way to the cluster's counts when the other end is lost, slow or new."""

import asyncio
from dataclasses import dataclass, field

from app.telemetry.cluster_client import MetricsClient
from app.telemetry.cluster_metrics import Reading, Report, SharedMetrics, Word
from app.telemetry.metrics import REQUESTS
from app.telemetry.registry import Registry
from tests.support.aio import run, until

LABELS = ("/embed/text", "POST", "200")


@dataclass
class Wire:
    """Reaches the shared metrics of now; `fault` is what every call meets instead."""

    shared: SharedMetrics = field(default_factory=SharedMetrics)
    fault: Exception | None = None
    hangs: bool = False
    reports: list[Report] = field(default_factory=list)

    async def report(self, report: Report) -> Word:
        await self._trouble()
        self.reports.append(report)
        return await self.shared.report(report)

    async def read(self, report: Report) -> Reading:
        await self._trouble()
        return await self.shared.read(report, patience_s=0)

    async def _trouble(self) -> None:
        if self.hangs:
            await asyncio.Event().wait()
        if self.fault is not None:
            raise self.fault


def client_of(wire: Wire, requests: int, **options: float) -> MetricsClient:
    registry = Registry()
    registry.count(REQUESTS, *LABELS, by=requests)
    return MetricsClient(wire, registry, **options)  # type: ignore[arg-type]


def requests_in(reading: Reading) -> float:
    return reading.snapshot.totals[REQUESTS.name][LABELS][0]


def test_reading_brings_the_readers_own_numbers_of_now() -> None:
    async def main() -> None:
        wire = Wire()
        await wire.shared.report(Report("other", 1, client_of(wire, 30).registry.snapshot()))
        client = client_of(wire, 4)
        assert requests_in(await client.read()) == 34
        client.registry.count(REQUESTS, *LABELS)
        assert requests_in(await client.read()) == 35

    run(main())


def test_what_is_out_of_reach_leaves_the_own_numbers_and_says_so() -> None:
    async def main() -> None:
        for wire in (Wire(fault=ConnectionError()), Wire(hangs=True)):
            reading = await client_of(wire, 4, deadline_s=0.001).read()
            assert requests_in(reading) == 4
            assert not reading.complete
            await client_of(wire, 4, deadline_s=0.001).close()

    run(main())


def test_the_last_numbers_stay_when_the_process_has_closed() -> None:
    async def main() -> None:
        wire = Wire()
        leaving, staying = client_of(wire, 30), client_of(wire, 4)
        await leaving.close()
        assert wire.reports[-1].last
        assert requests_in(await staying.read()) == 34

    run(main())


def test_an_actor_that_begins_anew_gets_back_what_the_departed_left() -> None:
    async def main() -> None:
        wire = Wire()
        staying = client_of(wire, 4)
        task = asyncio.create_task(staying.run())
        await client_of(wire, 30).close()
        # It is told of the departed when its parked report returns, and says so with the next.
        await staying.read()
        await until(lambda: wire.reports[-1].known[1] == 1)
        old, wire.shared = wire.shared, SharedMetrics()
        await old.read(Report("x", 1, Registry().snapshot()), patience_s=0)  # ends the report that is parked there
        await until(lambda: any(report.departed is not None for report in wire.reports))
        assert requests_in(await staying.read()) == 34
        await until(lambda: wire.reports[-1].departed is None)
        assert requests_in(await staying.read()) == 34
        task.cancel()

    run(main())
