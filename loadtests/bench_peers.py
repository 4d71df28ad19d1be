"""This service, the raw model, Infinity and any server by address on the same texts, in turns. Run: `make bench-peers`,
`make bench-peers PEERS="tei=http://127.0.0.1:8080"` for a server that runs already and speaks TEI's, OpenAI's or
Infinity's dialect.

Every row is measured on all systems within seconds of each other, several times over, so that drift of the machine
hits all alike; the table gives medians and their ratios. Texts are all distinct but in the row that says hit.
"""

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from loadtests import autogroup, bert_weights, clip_weights, workloads
from loadtests.measuring import drive, load, percentile_ms
from loadtests.peer import prepared
from loadtests.raw_model import RawModel
from loadtests.systems import System, infinity, machine, peers, this_service, write_results

TEXT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
BEST = "raw (best)"  # beside "raw", which runs on the service's grid of shapes
PAUSE_S = 0.05  # between one answer and the next request of a client that does not send in a loop
Figures = dict[str, float]
_seeds = count()


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


def singles(
    clients: int, n: int, make: Callable[[int], list[str]] = workloads.mid, pause_s: float = 0.0
) -> Callable[[System], Figures]:
    def measure(system: System) -> Figures:
        bodies = [system.texts([text]) for text in make(n)]
        before = system.cpu_seconds()
        run = drive(system.port, system.text_path, bodies, clients, pause_s=pause_s, host=system.host)
        return {
            "p50": run.ms(50),
            "p99": run.ms(99),
            "per_s": run.per_s,
            "client_cpu": run.client_cpu,
            "system_cpu": (spent := system.cpu_seconds() - before) / run.wall_s,
            "cpu_ms": spent / n * 1e3,
        }

    return measure


def hits(n: int) -> Callable[[System], Figures]:
    def measure(system: System) -> Figures:
        one = system.texts(workloads.mid(1))
        drive(system.port, system.text_path, [one] * 5, 1, host=system.host)
        run = drive(system.port, system.text_path, [one] * n, 1, host=system.host)
        return {"p50": run.ms(50), "p99": run.ms(99), "per_s": run.per_s}

    return measure


def batches(make: Callable[[int], list[str]], size: int, n: int) -> Callable[[System], Figures]:
    def measure(system: System) -> Figures:
        bodies = [system.texts(make(size)) for _ in range(n)]
        run = drive(system.port, system.text_path, bodies, 1, host=system.host)
        return {"p50": run.ms(50), "per_s": run.per_s * size}

    return measure


def pictures(size: int, n: int) -> Callable[[System], Figures]:
    def measure(system: System) -> Figures:
        bodies = [system.images([workloads.data_uri(one) for one in workloads.jpegs(size)]) for _ in range(n)]
        run = drive(system.port, system.image_path, bodies, 1)
        return {"p50": run.ms(50), "per_s": run.per_s * size}

    return measure


def raw_texts(
    make: Callable[[int], list[str]], size: int, n: int, pause_s: float = 0.0
) -> Callable[[RawModel], Figures]:
    def measure(model: RawModel) -> Figures:
        seconds = model.texts([make(size) for _ in range(n)], pause_s)
        return {"p50": percentile_ms(seconds, 50), "per_s": size * n / sum(seconds)}

    return measure


def raw_best(make: Callable[[int], list[str]], n: int) -> Callable[[RawModel], Figures]:
    return lambda model: {"per_s": n / model.best(make(n))}


def raw_images(size: int, n: int) -> Callable[[RawModel], Figures]:
    return lambda model: {"p50": percentile_ms(model.images([workloads.jpegs(size) for _ in range(n)]), 50)}


def mixed(n: int) -> list[str]:
    return workloads.mixed(n, seed=n)


def long(tokens: int) -> Callable[[int], list[str]]:
    """Texts of about so many tokens: each word is one, a number at its end a few, and two are special."""
    return lambda n: workloads.words(n, tokens - 6, seed=next(_seeds))


def rows(scale: float, *, pictures_too: bool = True, longest: int = 256) -> list[Row]:
    """`longest`: tokens that the model reads."""

    def n(count: int) -> int:
        return max(3, round(count * scale))

    short, mid = workloads.short, workloads.mid
    found = [
        Row("1 mid text, 1 client, p50 ms", singles(1, n(200)), raw_texts(mid, 1, n(200)), "p50"),
        Row(
            "1 mid text every 50 ms, p50 ms",
            singles(1, n(100), pause_s=PAUSE_S),
            raw_texts(mid, 1, n(100), PAUSE_S),
            "p50",
        ),
        Row("cache hit, 1 client, p50 ms", hits(n(300)), None, "p50"),
        Row("100 short texts, p50 ms", batches(short, 100, n(20)), raw_texts(short, 100, n(20)), "p50"),
        Row("100 mid texts, p50 ms", batches(mid, 100, n(15)), raw_texts(mid, 100, n(15)), "p50"),
        Row("32 mid texts, p50 ms", batches(mid, 32, n(25)), raw_texts(mid, 32, n(25)), "p50"),
        Row("8 clients, requests/s", singles(8, n(800)), raw_best(mid, n(800)), "per_s", True),
        Row("32 clients, requests/s", singles(32, n(1200)), raw_best(mid, n(1200)), "per_s", True),
        Row("128 clients, requests/s", singles(128, n(2000)), raw_best(mid, n(2000)), "per_s", True),
        Row("128 clients, p99 ms", singles(128, n(2000)), None, "p99"),
        Row("mixed lengths, 32 clients, texts/s", singles(32, n(800), mixed), raw_best(mixed, n(800)), "per_s", True),
    ]
    found += [
        Row(f"32 texts of {t} tokens, texts/s", batches(long(t), 32, n(5)), raw_texts(long(t), 32, n(5)), "per_s", True)
        for t in (256, 512)
        if t <= longest
    ]
    found += [
        Row("1 JPEG 640x480, CLIP ViT-B/32, p50 ms", pictures(1, n(25)), raw_images(1, n(25)), "p50"),
        Row("32 JPEGs, p50 ms", pictures(32, n(3)), raw_images(32, n(3)), "p50"),
    ] * pictures_too
    return found


def warm(system: System) -> None:
    def send(texts: list[list[str]], clients: int = 1) -> None:
        drive(system.port, system.text_path, [system.texts(each) for each in texts], clients, host=system.host)

    for size in (1, 2, 4, 8, 16, 32, 100):
        send([workloads.mid(size) for _ in range(3)])
    send([[text] for text in workloads.mid(300)], 32)
    send([[text] for text in mixed(100)], 32)
    if system.image_model:
        drive(system.port, system.image_path, [system.images([workloads.data_uri(workloads.jpegs(1)[0])])] * 3, 1)


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0, help="requests of each row, times this")
    parser.add_argument("--engine", choices=("optimum", "torch"), default="optimum", help="Infinity's text engine")
    parser.add_argument("--only", default="", help="rows whose name has this in it")
    parser.add_argument("--no-peer", action="store_true", help="without Infinity")
    parser.add_argument(
        "--precision", default="auto", help="ours and the raw model: f32 as without bf16, int8 of texts"
    )
    parser.add_argument("--random", choices=("minilm", "base"), help="a text model of this size that reads 512 tokens")
    parser.add_argument("--out", type=Path, default=Path("loadtests/results.json"))
    return parser.parse_args(given)


def main() -> None:
    args = arguments()
    given = os.environ.get("PEERS", "")
    # Peers that run have no such models, and none is in int8.
    pictures_too = not (given or args.random or args.precision == "int8")
    wanted = rows(args.scale, pictures_too=pictures_too, longest=512 if args.random else 256)
    table = [Result(row) for row in wanted if args.only in row.name]
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        stack.enter_context(autogroup.off())
        text = str(bert_weights.write(Path(folder, args.random), args.random)) if args.random else TEXT_MODEL
        clip = None
        if any("JPEG" in result.row.name for result in table):
            clip = clip_weights.write(Path(folder, "clip-vit-base-patch32"))
        model = {"id": text, "precision": args.precision}
        image = [{"id": str(clip), "precision": args.precision}] if clip else []
        name = str(clip) if clip else None
        systems = [stack.enter_context(this_service(name, text_models=[model], image_models=image))]
        if not args.no_peer:
            peer = prepared(Path(folder), text)
            systems.append(stack.enter_context(infinity(peer.python, peer.text_model, clip, args.engine)))
        systems += peers(given, text)
        raws = {"raw": RawModel(text, name, args.precision), BEST: RawModel(text, None, args.precision, fastest=True)}
        for raw in raws.values():
            stack.callback(raw.close)
        for system in systems:
            warm(system)
        for turn in range(args.repeats):
            for result in table:
                print(f"turn {turn + 1}/{args.repeats}: {result.row.name}", file=sys.stderr, flush=True)
                for name_, raw in raws.items():
                    if result.row.raw is not None and not (name_ == BEST and "JPEG" in result.row.name):
                        result.runs.setdefault(name_, []).append(result.row.raw(raw))
                for system in systems:
                    result.runs.setdefault(system.name, []).append(result.row.measure(system))
    others = [*raws, *(system.name for system in systems[1:])]
    print(text_table(table, others))
    write_results(args.out, results_name(args), figures(table, others))


def results_name(args: argparse.Namespace) -> str:
    """Of these figures: other models, other precisions and some of the rows don't take the place of the rest."""
    return " ".join(filter(None, ["peers", args.random, args.precision.removeprefix("auto"), args.only]))


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
