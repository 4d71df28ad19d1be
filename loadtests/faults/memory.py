"""Memory of every process of a service, over time: growth and slope."""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import NamedTuple, Self

import numpy as np
import psutil

MB = 2**20
# Fewer points, or a shorter stretch, make no slope worth the name.
LEAST_POINTS = 5


class Sample(NamedTuple):
    """One process at one moment (monotonic seconds), bytes. PSS shares out what several processes map."""

    at: float
    rss: int
    pss: int


Series = dict[str, list[Sample]]


class Sampler:
    """Reads the memory of `processes()` now and then, in a thread. Use it with `with`."""

    def __init__(self, processes: Callable[[], Sequence[psutil.Process]], every_s: float) -> None:
        self.series: defaultdict[str, list[Sample]] = defaultdict(list)
        self._processes = processes
        self._every_s = every_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self.sample()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(30)
        if error is None:
            self.sample()

    def sample(self) -> None:
        now = time.monotonic()
        for process in self._processes():
            try:
                used = process.memory_full_info()
                name = _name(process)
            except (psutil.Error, IndexError):
                continue
            self.series[name].append(Sample(now, used.rss, used.pss))

    def _run(self) -> None:
        while not self._stop.wait(self._every_s):
            self.sample()


def _name(process: psutil.Process) -> str:
    """One name for all of a process's life: one that was replaced is another, so its number is part of it."""
    title = process.cmdline()[0].strip().split(" ")[0].rsplit("/", 1)[-1]
    # Ray adds the method that an actor is at to its title.
    return f"{title.split('.')[0] if title.startswith('ray::') else title} {process.pid}"


def total_pss(series: Series) -> list[tuple[float, int]]:
    """Bytes of all processes together, at each moment of a sample."""
    totals: defaultdict[float, int] = defaultdict(int)
    for samples in series.values():
        for sample in samples:
            totals[sample.at] += sample.pss
    return sorted(totals.items())


def growth(series: Series) -> int:
    """Bytes, from the first moment's total to the greatest."""
    totals = [total for _, total in total_pss(series)]
    return max(totals) - totals[0] if totals else 0


def slope_mb_per_h(samples: Sequence[Sample]) -> float | None:
    """Of a straight line through one process's RSS (least squares); None where it lived too short for one."""
    if len(samples) < LEAST_POINTS:
        return None
    hours = np.asarray([sample.at for sample in samples]) / 3600
    used = np.asarray([sample.rss for sample in samples]) / MB
    return float(np.polyfit(hours - hours.mean(), used, 1)[0])


def leaks(series: Series, most_mb_per_h: float, after: float) -> list[str]:
    """Processes that grow faster, with their slopes. Samples before `after` are the warming up."""
    found = []
    for name, samples in sorted(series.items()):
        slope = slope_mb_per_h([sample for sample in samples if sample.at >= after])
        if slope is not None and slope > most_mb_per_h:
            found.append(f"{name} grows by {slope:.1f} MB/h")
    return found
