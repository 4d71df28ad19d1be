"""This service, the raw model and Infinity on the same texts, in turns. Run: `make bench-peers`.

Every row is measured on all systems within seconds of each other, several times over, so that drift of the machine
hits all alike; the table gives medians and their ratios. Texts are all distinct but in the row that says hit.
"""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from loadtests import autogroup, clip_weights, workloads
from loadtests.measuring import drive, load, percentile_ms
from loadtests.peer import prepared
from loadtests.raw_model import RawModel
from loadtests.systems import System, infinity, machine, this_service, write_results

TEXT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
Figures = dict[str, float]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. `more_is_better`: a rate, else milliseconds."""

    name: str
    measure: Callable[[System], Figures]
    raw: Callable[[RawModel], Figures] | None
    figure: str
    more_is_better: bool = False


@dataclass(slots=True)
class Result:
    row: Row
    runs: dict[str, list[Figures]] = field(default_factory=dict)

    def median(self, system: str, figure: str) -> float | None:
        values = [run[figure] for run in self.runs.get(system, []) if figure in run]
        return statistics.median(values) if values else None

    def ratio(self, other: str, figure: str) -> float | None:
        """Of each turn, then the median: what drifts between turns cancels out."""
        pairs = zip(self.runs.get("ours", []), self.runs.get(other, []), strict=False)
        ratios = [ours[figure] / theirs[figure] for ours, theirs in pairs if figure in ours and figure in theirs]
        return statistics.median(ratios) if ratios else None


def singles(clients: int, n: int, make: Callable[[int], list[str]] = workloads.mid) -> Callable[[System], Figures]:
    def measure(system: System) -> Figures:
        bodies = [system.texts([text]) for text in make(n)]
        before = system.cpu_seconds()
        run = drive(system.port, system.text_path, bodies, clients)
        return {
            "p50": run.ms(50),
            "p99": run.ms(99),
            "per_s": run.per_s,
            "client_cpu": run.client_cpu,
            "system_cpu": (system.cpu_seconds() - before) / run.wall_s,
        }

    return measure


def hits(n: int) -> Callable[[System], Figures]:
    def measure(system: System) -> Figures:
        one = system.texts(workloads.mid(1))
        drive(system.port, system.text_path, [one] * 5, 1)
        run = drive(system.port, system.text_path, [one] * n, 1)
        return {"p50": run.ms(50), "p99": run.ms(99), "per_s": run.per_s}

    return measure


def batches(make: Callable[[int], list[str]], size: int, n: int) -> Callable[[System], Figures]:
    def measure(system: System) -> Figures:
        run = drive(system.port, system.text_path, [system.texts(make(size)) for _ in range(n)], 1)
        return {"p50": run.ms(50), "per_s": run.per_s * size}

    return measure


def pictures(size: int, n: int) -> Callable[[System], Figures]:
    def measure(system: System) -> Figures:
        bodies = [system.images([workloads.data_uri(one) for one in workloads.jpegs(size)]) for _ in range(n)]
        run = drive(system.port, system.image_path, bodies, 1)
        return {"p50": run.ms(50), "per_s": run.per_s * size}

    return measure


def raw_texts(make: Callable[[int], list[str]], size: int, n: int) -> Callable[[RawModel], Figures]:
    def measure(model: RawModel) -> Figures:
        seconds = model.texts([make(size) for _ in range(n)])
        return {"p50": percentile_ms(seconds, 50), "per_s": size * n / sum(seconds)}

    return measure


def raw_best(make: Callable[[int], list[str]], n: int) -> Callable[[RawModel], Figures]:
    return lambda model: {"per_s": n / model.best(make(n))}


def raw_images(size: int, n: int) -> Callable[[RawModel], Figures]:
    return lambda model: {"p50": percentile_ms(model.images([workloads.jpegs(size) for _ in range(n)]), 50)}


def mixed(n: int) -> list[str]:
    return workloads.mixed(n, seed=n)


def rows(scale: float) -> list[Row]:
    def n(count: int) -> int:
        return max(3, round(count * scale))

    short, mid = workloads.short, workloads.mid
    return [
        Row("1 mid text, 1 client, p50 ms", singles(1, n(200)), raw_texts(mid, 1, n(200)), "p50"),
        Row("cache hit, 1 client, p50 ms", hits(n(300)), None, "p50"),
        Row("100 short texts, p50 ms", batches(short, 100, n(20)), raw_texts(short, 100, n(20)), "p50"),
        Row("100 mid texts, p50 ms", batches(mid, 100, n(15)), raw_texts(mid, 100, n(15)), "p50"),
        Row("32 mid texts, p50 ms", batches(mid, 32, n(25)), raw_texts(mid, 32, n(25)), "p50"),
        Row("8 clients, requests/s", singles(8, n(800)), raw_best(mid, n(800)), "per_s", True),
        Row("32 clients, requests/s", singles(32, n(1200)), raw_best(mid, n(1200)), "per_s", True),
        Row("128 clients, requests/s", singles(128, n(2000)), raw_best(mid, n(2000)), "per_s", True),
        Row("128 clients, p99 ms", singles(128, n(2000)), None, "p99"),
        Row("mixed lengths, 32 clients, texts/s", singles(32, n(800), mixed), raw_best(mixed, n(800)), "per_s", True),
        Row("1 JPEG 640x480, CLIP ViT-B/32, p50 ms", pictures(1, n(25)), raw_images(1, n(25)), "p50"),
        Row("32 JPEGs, p50 ms", pictures(32, n(3)), raw_images(32, n(3)), "p50"),
    ]


def warm(system: System) -> None:
    for size in (1, 2, 4, 8, 16, 32, 100):
        drive(system.port, system.text_path, [system.texts(workloads.mid(size)) for _ in range(3)], 1)
    drive(system.port, system.text_path, [system.texts([text]) for text in workloads.mid(300)], 32)
    drive(system.port, system.text_path, [system.texts([text]) for text in mixed(100)], 32)
    drive(system.port, system.image_path, [system.images([workloads.data_uri(workloads.jpegs(1)[0])])] * 3, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0, help="requests of each row, times this")
    parser.add_argument("--engine", choices=("optimum", "torch"), default="optimum", help="Infinity's text engine")
    parser.add_argument("--only", default="", help="rows whose name has this in it")
    parser.add_argument("--no-peer", action="store_true", help="without Infinity")
    parser.add_argument("--out", type=Path, default=Path("loadtests/results.json"))
    args = parser.parse_args()
    table = [Result(row) for row in rows(args.scale) if args.only in row.name]
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        stack.enter_context(autogroup.off())
        clip = clip_weights.write(Path(folder, "clip-vit-base-patch32"))
        systems = [stack.enter_context(this_service(str(clip)))]
        if not args.no_peer:
            peer = prepared(Path(folder), TEXT_MODEL)
            systems.append(stack.enter_context(infinity(peer.python, peer.text_model, clip, args.engine)))
        raw = RawModel(TEXT_MODEL, str(clip))
        stack.callback(raw.close)
        for system in systems:
            warm(system)
        for turn in range(args.repeats):
            for result in table:
                print(f"turn {turn + 1}/{args.repeats}: {result.row.name}", file=sys.stderr, flush=True)
                if result.row.raw is not None:
                    result.runs.setdefault("raw", []).append(result.row.raw(raw))
                for system in systems:
                    result.runs.setdefault(system.name, []).append(result.row.measure(system))
    others = ["raw", *(system.name for system in systems[1:])]
    print(text_table(table, others))
    write_results(args.out, "peers", figures(table, others))


def text_table(table: list[Result], others: list[str]) -> str:
    lines = [
        f"| work | ours | {' | '.join(f'{o} | ours / {o}' for o in others)} |",
        "|---" * (2 + 2 * len(others)) + "|",
    ]
    for result in table:
        figure = result.row.figure
        cells = [f"{result.median('ours', figure):.2f}"]
        for other in others:
            theirs, ratio = result.median(other, figure), result.ratio(other, figure)
            cells += ["–" if theirs is None else f"{theirs:.2f}", "–" if ratio is None else f"{ratio:.2f}"]
        lines.append(f"| {result.row.name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def figures(table: list[Result], others: list[str]) -> dict[str, Any]:
    rows_ = [
        {
            "work": result.row.name,
            "figure": result.row.figure,
            "more_is_better": result.row.more_is_better,
            "runs": result.runs,
            "ratios": {other: result.ratio(other, result.row.figure) for other in others},
        }
        for result in table
    ]
    return {"machine": machine(), "load_after": load(), "rows": rows_}


if __name__ == "__main__":
    main()
