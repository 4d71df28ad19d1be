"""What must be the same after fuzzing as before it: a service's processes, and its memory but for a little."""

from contextlib import suppress
from dataclasses import dataclass

import psutil

from loadtests.running import RunningService

MB = 2**20


@dataclass(frozen=True, slots=True, order=True)
class Life:
    """A process: numbers come again, a number with its moment of birth does not."""

    pid: int
    born: float
    name: str


def lives(service: RunningService) -> set[Life]:
    """Of all processes: launcher, Ray, HAProxy, replicas, decoders. Ray keeps idle workers as it likes."""
    found = set()
    for process in service.processes():
        try:
            line = process.cmdline()
            name = line[0] if line and line[0].startswith("ray::") else process.name()
            if not name.startswith("ray::IDLE"):
                found.add(Life(process.pid, process.create_time(), name))
        except psutil.Error:
            continue
    return found


def deaths(before: set[Life], after: set[Life]) -> list[str]:
    """Who is gone, by number and moment of birth: Ray renames its workers."""
    there = {(life.pid, life.born) for life in after}
    return [f"{life.name} ({life.pid}) died" for life in sorted(before) if (life.pid, life.born) not in there]


def memory(service: RunningService) -> dict[Life, int]:
    """Bytes of each process: its proportional set size."""
    held = {}
    for life in lives(service):
        with suppress(psutil.Error):
            held[life] = psutil.Process(life.pid).memory_full_info().pss
    return held


def growth(before: dict[Life, int], after: dict[Life, int]) -> list[tuple[int, str]]:
    """Bytes more of each process, the most first; Ray renames its workers."""
    had = {(life.pid, life.born): size for life, size in before.items()}
    more = [(size - had.get((life.pid, life.born), 0), life.name) for life, size in after.items()]
    return sorted(more, reverse=True)
