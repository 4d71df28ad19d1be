"""What each part of the bypass of Serve earns: shipped, one part off, all off. Run: `make bench-bypass`.

Two services at a time, as shipped and without something, measured in turns, and in each turn by turns first: what
drifts on the machine hits both alike. Figures are medians over turns; a ratio is one of each turn, then the median.
Every text is new but in the rows that say otherwise.
"""

import argparse
import random
import statistics
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from loadtests import autogroup, workloads
from loadtests.measuring import drive, load
from loadtests.systems import System, machine, this_service, write_results

Figures = dict[str, float]

SHIPPED: Final = "auto"
# What the other service of a pair has for `serve_bypass`.
WITHOUT: Final[dict[str, Any]] = {
    "without rpc": ["middleware"],
    "without middleware": ["rpc"],
    "all off": "off",
}
FIGURES: Final = ("p50_ms", "per_s", "cpu_ms")
# So small that the working set is little work; with an entry of 384 floats, its key and the bookkeeping in 2 kB.
NEAR_BYTES: Final = 2**20
WORKING_SET: Final = 4 * NEAR_BYTES // 2000


@dataclass(frozen=True, slots=True)
class Row:
    """One workload: bodies to send, `clients` at a time, after `known` was sent once."""

    name: str
    clients: int
    bodies: Callable[[System], list[bytes]]
    known: Callable[[System], list[bytes]] = lambda system: []

    def measure(self, system: System) -> Figures:
        """Median latency and rate as the clients saw them, and CPU time of all the service's processes, a request."""
        if known := self.known(system):
            drive(system.port, system.text_path, known, 8)
        bodies = self.bodies(system)
        before = system.cpu_seconds()
        run = drive(system.port, system.text_path, bodies, self.clients)
        cpu_s = system.cpu_seconds() - before
        return {"p50_ms": run.ms(50), "per_s": run.per_s, "cpu_ms": cpu_s / len(bodies) * 1e3}


def rows(scale: float) -> list[Row]:
    def n(count: int) -> int:
        return max(8, round(count * scale))

    def new(count: int) -> Callable[[System], list[bytes]]:
        return lambda system: [system.texts([text]) for text in workloads.mid(count)]

    hit, some = workloads.mid(1), workloads.mid(n(WORKING_SET))

    def one(count: int) -> Callable[[System], list[bytes]]:
        return lambda system: [system.texts(hit)] * count

    def drawn(system: System) -> list[bytes]:
        return [system.texts([text]) for text in random.Random(len(some)).choices(some, k=n(2000))]

    return [
        Row("one text, 1 client", 1, new(n(200))),
        Row("hit, 1 client", 1, one(n(600)), one(5)),
        Row("hits, 32 clients", 32, one(n(4000)), one(5)),
        Row("4 x the near cache, 8 clients", 8, drawn, lambda system: [system.texts([text]) for text in some]),
        Row("8 clients", 8, new(n(800))),
        Row("32 clients", 32, new(n(1200))),
        Row("128 clients", 128, new(n(2000))),
    ]


def in_turns(pair: Sequence[System], table: Sequence[Row], turns: int) -> dict[str, list[list[Figures]]]:
    """By row: for each turn, the figures of the pair's systems in their order."""
    runs: dict[str, list[list[Figures]]] = {row.name: [] for row in table}
    for turn in range(turns):
        for row in table:
            print(f"turn {turn + 1}/{turns}: {row.name}", file=sys.stderr, flush=True)
            # Who goes first changes from turn to turn.
            order = sorted(range(len(pair)), key=lambda index: index if turn % 2 == 0 else -index)
            measured = {index: row.measure(pair[index]) for index in order}
            runs[row.name].append([measured[index] for index in range(len(pair))])
    return runs


def compared(runs: Sequence[Sequence[Figures]], figure: str) -> tuple[float, float, float, float]:
    """Medians of shipped and of the other, the median of their ratios (other / shipped), and the share of turns whose
    ratio lies on the same side of 1."""
    ratios = [other[figure] / shipped[figure] for shipped, other in runs]
    middle = statistics.median(ratios)
    agree = sum((ratio > 1) == (middle > 1) for ratio in ratios) / len(ratios)
    medians = [statistics.median(turn[index][figure] for turn in runs) for index in (0, 1)]
    return medians[0], medians[1], middle, agree


def text_table(results: dict[str, dict[str, list[list[Figures]]]]) -> str:
    """A line for each workload and pair: `shipped → other (change, share of turns that agree on its sign)`."""
    lines = ["| workload | against shipped | p50 ms | requests/s | CPU ms a request |", "|---|---|---|---|---|"]
    for name in next(iter(results.values())):
        for other, runs in results.items():
            cells = []
            for figure in FIGURES:
                ours, theirs, ratio, agree = compared(runs[name], figure)
                cells.append(f"{ours:.2f} → {theirs:.2f} ({ratio - 1:+.0%}, {agree:.0%} agree)")
            lines.append(f"| {name} | {other} | {' | '.join(cells)} |")
    return "\n".join(lines)


def warm(system: System) -> None:
    for size in (1, 2, 4, 8, 16, 32):
        drive(system.port, system.text_path, [system.texts(workloads.mid(size)) for _ in range(3)], 1)
    drive(system.port, system.text_path, [system.texts([text]) for text in workloads.mid(300)], 32)


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0, help="requests of each row, times this")
    parser.add_argument("--only", default="", help="rows whose name has this in it")
    parser.add_argument("--without", action="append", choices=list(WITHOUT), help="these pairs only")
    parser.add_argument("--out", type=Path, default=Path("loadtests/results.json"))
    args = parser.parse_args(given)
    args.without = args.without or list(WITHOUT)
    return args


def main() -> None:
    args = arguments()
    table = [row for row in rows(args.scale) if args.only in row.name]
    cache = {"near_max_bytes": max(1, round(NEAR_BYTES * args.scale))}
    results = {}
    for name in args.without:
        print(f"shipped and {name}", file=sys.stderr, flush=True)
        with ExitStack() as stack:
            stack.enter_context(autogroup.off())
            settings = (SHIPPED, WITHOUT[name])
            pair = [stack.enter_context(this_service(cache=cache, serve_bypass=setting)) for setting in settings]
            for system in pair:
                warm(system)
            results[name] = in_turns(pair, table, args.turns)
    print(text_table(results))
    write_results(
        args.out, "bypass", {"machine": machine(), "load_after": load(), "turns": args.turns, "runs": results}
    )


if __name__ == "__main__":
    main()
