"""CPU seconds of a service that nobody asks for anything, by process, beside an empty one of as many. Run: `make
bench-idle` (TURNS=3).

Both run at once, so that both see the same machine; what ours takes more is the service's own.
"""

import argparse
import re
import statistics
import time
from collections import defaultdict
from typing import Final

from loadtests.measuring import load
from loadtests.systems import System, empty_service, machine, this_service

SETTLE_S: Final = 30.0
SAMPLE_S: Final = 60.0


def sample(systems: list[System], seconds: float) -> list[dict[str, float]]:
    """What each system's processes have taken, by their names."""
    before = [system.cpu_by_process() for system in systems]
    time.sleep(seconds)
    return [spent(system.cpu_by_process(), first) for system, first in zip(systems, before, strict=True)]


def spent(after: dict[int, tuple[str, float]], before: dict[int, tuple[str, float]]) -> dict[str, float]:
    """CPU seconds by name; a process that has begun since counts from its begin."""
    found: dict[str, float] = defaultdict(float)
    for pid, (words, seconds) in after.items():
        found[name(words)] += seconds - before.get(pid, ("", 0.0))[1]
    return found


def name(words: str) -> str:
    """Of a replica its deployment, else the first words of a command."""
    replica = re.match(r"ray::ServeReplica:[^:]+:(\w+)", words)
    return replica.group(1) if replica else words


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=3)
    turns: int = parser.parse_args().turns
    with this_service("shapes-clip") as ours, empty_service() as empty:
        time.sleep(SETTLE_S)
        taken = [sample([ours, empty], SAMPLE_S) for _ in range(turns)]
    print(machine(), f"load {load()}; medians of {turns} times {SAMPLE_S:.0f} s")
    for system, counts in zip(("service", "empty"), zip(*taken, strict=True), strict=True):
        names = {name for count in counts for name in count}
        rows = {name: statistics.median(count.get(name, 0.0) for count in counts) for name in names}
        print(f"{statistics.median(sum(count.values()) for count in counts):6.2f} s {system}")
        for word, seconds in sorted(rows.items(), key=lambda one: -one[1]):
            print(f"{seconds:6.2f}   {word}")
    differences = [sum(ours.values()) - sum(empty.values()) for ours, empty in taken]
    print(
        f"{statistics.median(differences):6.2f} s the service's own ({min(differences):.2f} to {max(differences):.2f})"
    )


if __name__ == "__main__":
    main()
