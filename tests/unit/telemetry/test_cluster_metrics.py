"""Totals of the cluster never fall and count nobody twice, whoever comes and goes."""

import asyncio

import pytest

from app.telemetry.cluster_metrics import (
    KEEP_DEPARTED_S,
    LIVE_S,
    MAX_DEPARTED,
    SETTLE_S,
    Departed,
    Report,
    SharedMetrics,
    Word,
)
from app.telemetry.metrics import CPU_SECONDS, QUEUED, REQUESTS
from app.telemetry.registry import Snapshot
from tests.support.aio import Clock, run, turns

LABELS = ("/embed/text", "POST", "200")


def snapshot_of(requests: int, waiting: int = 0, replica: str = "r") -> Snapshot:
    return Snapshot(
        totals={REQUESTS.name: {LABELS: [float(requests)]}},
        sums={QUEUED.name: {("m", "ingress"): [float(waiting)]}},
        own={CPU_SECONDS.name: {("Ingress", replica): [1.0]}},
    )


class Process:
    """Reports without parking: what it knows of the departed is never the actor's last word."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.number = 0

    def says(self, requests: int, **options: object) -> Report:
        self.number += 1
        return Report(self.source, self.number, snapshot_of(requests, replica=self.source), **options)  # type: ignore[arg-type]


async def total(metrics: SharedMetrics, reader: Process) -> float:
    reading = await metrics.read(reader.says(0), patience_s=0)
    return reading.snapshot.totals[REQUESTS.name][LABELS][0]


def test_the_sum_of_all_who_live() -> None:
    async def main() -> None:
        metrics = SharedMetrics(Clock())
        await metrics.report(Process("a").says(3))
        await metrics.report(Process("b").says(4))
        reading = await metrics.read(Report("c", 1, snapshot_of(5, 1, "c")), patience_s=0)
        assert reading.snapshot.totals == {REQUESTS.name: {LABELS: [12.0]}}
        assert set(reading.snapshot.own[CPU_SECONDS.name]) == {("Ingress", name) for name in "abc"}

    run(main())


def test_a_later_report_replaces_and_an_overtaken_one_does_not() -> None:
    async def main() -> None:
        metrics, a, reader = SharedMetrics(Clock()), Process("a"), Process("reader")
        first, second = a.says(3), a.says(8)
        await metrics.report(second)
        await metrics.report(first)
        assert await total(metrics, reader) == 8

    run(main())


@pytest.mark.parametrize("said_goodbye", [True, False])
def test_totals_outlive_their_process_and_the_rest_does_not(said_goodbye: bool) -> None:
    async def main() -> None:
        clock = Clock()
        metrics, a, reader = SharedMetrics(clock), Process("a"), Process("reader")
        await metrics.report(a.says(3, last=said_goodbye))
        if not said_goodbye:
            clock.now += LIVE_S + 0.1
        reading = await metrics.read(reader.says(10), patience_s=0)
        assert reading.snapshot.totals[REQUESTS.name][LABELS] == [13.0]
        assert set(reading.snapshot.own[CPU_SECONDS.name]) == {("Ingress", "reader")}
        assert reading.snapshot.sums[QUEUED.name]["m", "ingress"] == [0.0]
        # Its successor is another process and begins at nothing.
        await metrics.report(Process("a, again").says(1))
        assert await total(metrics, reader) == 4

    run(main())


def test_who_was_only_silent_is_not_counted_twice() -> None:
    async def main() -> None:
        clock = Clock()
        metrics, a, reader = SharedMetrics(clock), Process("a"), Process("reader")
        await metrics.report(a.says(3))
        clock.now += LIVE_S + 0.1
        assert await total(metrics, reader) == 3
        await metrics.report(a.says(5))
        assert await total(metrics, reader) == 5

    run(main())


def test_totals_stay_when_the_departed_become_one() -> None:
    async def main() -> None:
        clock = Clock()
        metrics, reader = SharedMetrics(clock), Process("reader")
        for i in range(2 * MAX_DEPARTED):
            await metrics.report(Process(f"p{i}").says(1, last=True))
        assert await total(metrics, reader) == 2 * MAX_DEPARTED
        word = await metrics.report(Process("x").says(0))
        assert word.departed is not None
        assert len(word.departed.totals) == MAX_DEPARTED + 1
        clock.now += KEEP_DEPARTED_S + 1
        assert await total(metrics, reader) == 2 * MAX_DEPARTED
        word = await metrics.report(Process("y").says(0))
        assert word.departed is not None
        assert len(word.departed.totals) <= 2  # all as one, and x

    run(main())


def test_an_actor_that_begins_anew_is_given_what_the_departed_left() -> None:
    async def main() -> None:
        clock = Clock()
        old, a, reader = SharedMetrics(clock), Process("a"), Process("reader")
        await old.report(Process("gone").says(7, last=True))
        word = await old.report(a.says(1))
        assert word.departed is not None
        new = SharedMetrics(clock)
        await new.report(a.says(2, departed=word.departed))
        assert await total(new, reader) == 9
        # A second copy of it, or an older one, adds nothing.
        await new.report(Process("b").says(0, departed=word.departed))
        await new.report(Process("c").says(0, departed=Departed(0, word.departed.totals)))
        assert await total(new, reader) == 9

    run(main())


def test_what_is_handed_over_forgets_who_lives_and_keeps_who_left_since() -> None:
    async def main() -> None:
        metrics, reader = SharedMetrics(Clock()), Process("reader")
        await metrics.report(Process("alive").says(2))
        await metrics.report(Process("left since").says(30, last=True))
        handed = Departed(9, {"alive": snapshot_of(1).lasting(), "gone": snapshot_of(500).lasting()})
        await metrics.report(Process("b").says(0, departed=handed))
        assert await total(metrics, reader) == 532

    run(main())


def test_it_is_complete_once_everybody_has_been_heard() -> None:
    async def main() -> None:
        clock = Clock()
        metrics, reader = SharedMetrics(clock), Process("reader")
        assert not (await metrics.read(reader.says(1), patience_s=0)).complete
        clock.now += SETTLE_S
        assert (await metrics.read(reader.says(1), patience_s=0)).complete

    run(main())


def test_reading_calls_everybody_in() -> None:
    async def main() -> None:
        metrics, a, reader = SharedMetrics(), Process("a"), Process("reader")
        word: Word = await metrics.report(a.says(1))
        known = (word.life, 0)
        parked = asyncio.create_task(metrics.report(a.says(1, known=known)))
        await turns()
        assert not parked.done()
        reading = asyncio.create_task(metrics.read(reader.says(0), patience_s=5))
        await turns()
        assert parked.done()
        assert not reading.done()
        again = asyncio.create_task(metrics.report(a.says(6, known=known)))
        assert (await reading).snapshot.totals[REQUESTS.name][LABELS] == [6.0]
        again.cancel()

    run(main())


def test_news_of_the_departed_are_told_at_once() -> None:
    async def main() -> None:
        metrics, a = SharedMetrics(), Process("a")
        word = await metrics.report(a.says(1))
        await metrics.report(Process("gone").says(7, last=True))
        news = await metrics.report(a.says(1, known=(word.life, 0)))
        assert news.departed is not None
        assert list(news.departed.totals) == ["gone"]

    run(main())
