"""One load with faults in it: driver in this thread, killer and memory sampler in theirs, and the row they make."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from loadtests.faults import figures
from loadtests.faults.asking import Bare
from loadtests.faults.driver import Ask, Driver, Outcome
from loadtests.faults.killer import Kill, Killer
from loadtests.faults.memory import MB, Sampler, Series, growth
from loadtests.faults.processes import Processes
from loadtests.faults.row import Row

MEMORY_EVERY_S = 5.0


@dataclass(frozen=True, slots=True)
class Run:
    """What is known after a load."""

    outcomes: list[Outcome]
    kills: list[Kill]
    memory: Series

    @property
    def hits(self) -> int:
        return sum(outcome.hits for outcome in self.outcomes)


def drive(ask: Ask, rate: float, more: Callable[[int], bool]) -> list[Outcome]:
    """Send while `more(requests sent)`; the outcomes in the order in which they came."""
    driver = Driver(ask, rate)

    async def run() -> None:
        await driver.run(more)
        if isinstance(ask, Bare):
            await ask.let_go()

    asyncio.run(run())
    return driver.outcomes


def for_seconds(seconds: float) -> Callable[[int], bool]:
    ends = time.monotonic() + seconds
    return lambda _: time.monotonic() < ends


def under_kills(ask: Ask, rate: float, requests: int, killer: Killer, processes: Processes, give_up_s: float) -> Run:
    """Load until as many requests and kills are made as asked, or the time is over: then there are fewer."""
    ends = time.monotonic() + give_up_s

    def more(sent: int) -> bool:
        return time.monotonic() < ends and (sent < requests or not killer.is_done)

    with Sampler(processes.all, MEMORY_EVERY_S) as sampler, killer:
        outcomes = drive(ask, rate, more)
    return Run(outcomes, killer.kills, sampler.series)


def row_of(fault: str, run: Run, asked_faults: int, asked_requests: int, some_may_fail: bool = False) -> Row:
    """With what holds for every scenario; its own conditions are its own to add.

    Args:
        some_may_fail: How many is the scenario's to judge.
    """
    verdicts = figures.verdicts(run.outcomes)
    row = Row(
        fault=fault,
        injected=len(run.kills),
        asked_faults=asked_faults,
        requests=len(run.outcomes),
        asked_requests=asked_requests,
        failed=verdicts["failed"] + verdicts["refused"],
        wrong=verdicts["wrong"],
        recovery_s=figures.recoveries([kill.at for kill in run.kills], run.outcomes),
        codes=figures.codes(run.outcomes),
    )
    p50, p99, slowest = (figures.latency_ms(run.outcomes, percentile) for percentile in (50, 99, 100))
    row.notes.append(f"p50 {p50:.0f} ms, p99 {p99:.0f} ms, slowest {slowest / 1e3:.1f} s")
    row.notes.append(f"memory +{growth(run.memory) / MB:.0f} MB at most")
    row.kept_schedule(figures.late_share(run.outcomes))
    (row.notes if some_may_fail else row.problems).extend(figures.samples(run.outcomes))
    return row


def replaced_note(kills: Sequence[Kill]) -> str:
    """How long the victims' places were empty."""
    seconds = sorted(kill.back_s for kill in kills if kill.back_s is not None)
    if not seconds:
        return "none was seen replaced before the next kill"
    return f"replaced in {seconds[len(seconds) // 2]:.1f} s (p50 of {len(seconds)})"


def pace_note(kills: Sequence[Kill]) -> str:
    seconds = (kills[-1].at - kills[0].at) / (len(kills) - 1) if len(kills) > 1 else 0.0
    return f"one every {seconds:.1f} s"
