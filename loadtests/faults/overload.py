"""R4: ten times the load that it can bear, in requests of 32 texts; what is refused is refused fast and politely."""

import asyncio
import threading
import time
import urllib.request
from collections.abc import Sequence
from typing import Self

from loadtests.faults import figures
from loadtests.faults.asking import Bare
from loadtests.faults.driver import Ask, Outcome
from loadtests.faults.memory import MB, Sampler, growth
from loadtests.faults.oracle import Book, book
from loadtests.faults.row import Row
from loadtests.faults.run import MEMORY_EVERY_S, Run, drive, for_seconds, row_of
from loadtests.faults.service import ENCODER, ENCODERS, faulty, processes_of
from loadtests.running import RunningService, wait_for

NAME = "overload 10x"
TIMES, SECONDS = 10, 120.0
TEXTS = 32
PEAK_S, CLIENTS = 15.0, 4
AFTER_S = 15.0
LEAST_GOODPUT = 0.8
MOST_GROWTH = 200 * MB
MOST_REFUSAL_MS = 100.0
MOST_RECOVERY_S = 5.0


def scenario(scale: float) -> Row:
    known = book(512, 40)
    with faulty() as service:
        processes = processes_of(service)
        wait_for(lambda: len(processes.serving(ENCODER)) == ENCODERS, 120, "all encoder replicas")
        return run(service, known, SECONDS * scale, max(3.0, PEAK_S * scale))


def run(service: RunningService, known: Book, seconds: float, peak_s: float = PEAK_S, after_s: float = AFTER_S) -> Row:
    sent = _Counter()
    ask = Bare([service.port], known, lambda _: known.in_turn(sent.next(), TEXTS, TEXTS), keep=True)
    asyncio.run(closed_loop(ask, CLIENTS, peak_s / 3))  # warms up
    peak = asyncio.run(closed_loop(ask, CLIENTS, peak_s)) / peak_s
    with Sampler(processes_of(service).all, MEMORY_EVERY_S) as sampler, Probe(service.port) as probe:
        began = time.monotonic()
        outcomes = drive(ask, TIMES * peak, for_seconds(seconds))
        # Answers that came while the load was on; the backlog's end belongs to what comes after.
        ended = began + seconds
    after = drive(ask, peak / 4, for_seconds(after_s))
    row = row_of(NAME, Run(outcomes, [], sampler.series), 0, round(0.9 * TIMES * peak * seconds))
    row.injected = row.asked_faults = 1
    verdicts = figures.verdicts(outcomes)
    row.failed = verdicts["failed"]
    row.none_failed()
    good = sum(outcome.verdict == "good" and outcome.done <= ended for outcome in outcomes) / seconds
    row.notes.append(
        f"peak {peak:.1f}/s, under overload {good:.1f}/s good ({good / peak:.0%}), {verdicts['refused']:,} refused"
    )
    row.must(good >= LEAST_GOODPUT * peak, f"goodput fell to {good / peak:.0%} of the peak")
    row.must(verdicts["refused"] > 0, "nothing was refused: this was no overload")
    refusal = figures.latency_ms([each for each in outcomes if each.verdict == "refused"], 95)
    row.notes.append(f"429 in {refusal:.0f} ms (p95)")
    row.must(refusal <= MOST_REFUSAL_MS, f"refusals took {refusal:.0f} ms (p95)")
    row.must(growth(sampler.series) <= MOST_GROWTH, f"memory grew by {growth(sampler.series) / MB:.0f} MB")
    row.must(probe.asked > 0 and not probe.faults, f"/health: {probe.faults[:3]} of {probe.asked}")
    row.recovery_s = [_normal_after(after)]
    row.recovered_within(MOST_RECOVERY_S)
    return row


def _normal_after(after: Sequence[Outcome]) -> float:
    """Seconds from the end of the overload until requests at a quarter of the peak go well."""
    began = min((outcome.due for outcome in after), default=0.0)
    bad = [each.due for each in after if each.verdict != "good" or figures.is_disturbed(each)]
    return max(bad, default=began) - began


class _Counter:
    def __init__(self) -> None:
        self._number = -1

    def next(self) -> int:
        self._number += 1
        return self._number


async def closed_loop(ask: Ask, clients: int, seconds: float) -> int:
    """Good answers of clients that each wait for theirs."""
    ends, good = time.monotonic() + seconds, 0

    async def client() -> None:
        nonlocal good
        while time.monotonic() < ends:
            judged = await ask(0)
            # Not in one line: that would read `good` before it waits, and forget what others count meanwhile.
            good += judged.verdict == "good"

    await asyncio.gather(*(client() for _ in range(clients)))
    if isinstance(ask, Bare):
        await ask.let_go()
    return good


class Probe:
    """Asks for `path` again and again, in a thread, each time on a connection of its own. Use it with `with`."""

    def __init__(self, port: int, path: str = "/health", every_s: float = 1.0) -> None:
        self.asked = 0
        self.faults: list[str] = []
        self._url = f"http://127.0.0.1:{port}{path}"
        self._every_s = every_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(30)

    def _run(self) -> None:
        while not self._stop.wait(self._every_s):
            self.asked += 1
            try:
                with urllib.request.urlopen(self._url, timeout=20):  # noqa: S310 - loopback; raises for all but 2xx
                    pass
            except OSError as error:
                self.faults.append(str(error))
