"""The service's own figures on this machine: core latencies, batch efficiency, cache impact.

Run: `make bench`, or one part: `make bench-batch`, `make bench-cache`. Prints tables, writes results.json.
"""

import argparse
import statistics
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import orjson

from loadtests import autogroup, workloads
from loadtests.http_load import Answer
from loadtests.measuring import Run, drive, get, load, one_by_one
from loadtests.raw_model import RawModel
from loadtests.systems import System, bare_upload, machine, this_service, write_results

PARTS = ("core", "batch", "cache")
TEXT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
BATCHES = (1, 32, 100, 500)
HIT_SHARES = (0.0, 0.5, 0.8, 0.95, 1.0)
CLIENTS = 32
Figures = dict[str, float]


def core(system: System, bare: int, repeats: int) -> list[Figures]:
    """The owner's latency targets, in milliseconds at p50, one client; `bare`: the port of `bare_upload`."""
    one = system.texts(workloads.mid(1))
    matrix = np.random.default_rng(0).standard_normal((10_001, 384), dtype=np.float32)
    wanted = {"query": matrix[0], "candidates": matrix[1:], "topK": 10}
    as_json = orjson.dumps(wanted, option=orjson.OPT_SERIALIZE_NUMPY)
    as_bytes, shape = matrix.tobytes(), f"x-embedding-shape: {matrix.shape[0]},{matrix.shape[1]}\r\n"
    octets = "application/octet-stream"
    texts = system.text_path
    turns = []
    for _ in range(repeats):
        single = drive(system.port, texts, [system.texts([t]) for t in workloads.mid(200)], 1)
        hundred = drive(system.port, texts, [system.texts(workloads.mid(100)) for _ in range(15)], 1)
        short = drive(system.port, texts, [system.texts(workloads.short(100)) for _ in range(15)], 1)
        drive(system.port, texts, [one] * 5, 1)
        hit = drive(system.port, texts, [one] * 300, 1)
        uploads = one_by_one(bare, "POST", "/count", [as_bytes] * 9, octets)
        ranked = one_by_one(system.port, "POST", "/similarity?topK=10", [as_bytes] * 9, octets, shape)
        in_json = one_by_one(system.port, "POST", "/similarity", [as_json] * 5)
        turns.append(
            {
                "single embedding": single.ms(50),
                "batch of 100 mid texts": hundred.ms(50),
                "batch of 100 short texts": short.ms(50),
                "cache hit": hit.ms(50),
                "similarity over 10,000, binary body": _median_ms(ranked),
                "bare upload of that body": _median_ms(uploads),
                "similarity over 10,000, JSON body": _median_ms(in_json),
            }
        )
    return turns


def _median_ms(answers: list[Answer]) -> float:
    if any(answer.status != 200 for answer in answers):
        raise RuntimeError(f"{answers[0].status}: {answers[0].body[:300]!r}")
    return statistics.median(answer.seconds for answer in answers) * 1e3


def batch(system: System, raw: RawModel, repeats: int) -> list[Figures]:
    """Embeddings/s of one client that sends batches of mid texts, and the raw model's on the same batches."""
    turns = []
    for _ in range(repeats):
        turn = {}
        for size in BATCHES:
            calls = max(4, 600 // size)
            run = drive(system.port, system.text_path, [system.texts(workloads.mid(size)) for _ in range(calls)], 1)
            turn[f"ours {size}"] = run.per_s * size
            turn[f"raw {size}"] = size * calls / sum(raw.texts([workloads.mid(size) for _ in range(calls)]))
        turns.append(turn)
    return turns


def cache(system: System, repeats: int, requests: int = 1500, known: int = 500) -> list[Figures]:
    """Requests/s and mean latency by share of hits: known texts drawn by Zipf's law, the rest new."""
    old = workloads.mid(known)
    for part in workloads.in_requests(old, 100):
        drive(system.port, system.text_path, [system.texts(part)], 1)
    turns = []
    for turn in range(repeats):
        figures: Figures = {}
        for share in HIT_SHARES:
            draws = iter(workloads.zipf(requests, known, seed=turn))
            fresh = iter(workloads.mid(requests))
            hit = np.random.default_rng(turn).random(requests) < share
            bodies = [system.texts([old[next(draws)] if yes else next(fresh)]) for yes in hit]
            before = _hits(system)
            run = drive(system.port, system.text_path, bodies, CLIENTS)
            figures |= {
                f"requests/s {share}": run.per_s,
                f"mean ms {share}": run.mean_ms,
                f"hit share {share}": (_hits(system) - before) / requests,
            }
        turns.append(figures)
    return turns


def _hits(system: System) -> int:
    return int(orjson.loads(get(system.port, "/cache/stats").body)["hits"])


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """`parts`: names of PARTS."""
    parser = argparse.ArgumentParser(description=__doc__)
    # Python 3.11 holds the default itself against the choices: a list is none.
    parser.add_argument("parts", nargs="*", choices=[*PARTS, "all"], default="all")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("loadtests/results.json"))
    args = parser.parse_args(given)
    args.parts = list(PARTS) if "all" in args.parts else args.parts
    return args


def main() -> None:
    args = arguments()
    raw = RawModel(TEXT_MODEL) if "batch" in args.parts else None
    with ExitStack() as stack:
        stack.enter_context(autogroup.off())
        system = stack.enter_context(this_service())
        bare = stack.enter_context(bare_upload()) if "core" in args.parts else 0
        _warm(system)
        parts: dict[str, Callable[[], list[Figures]]] = {
            "core": lambda: core(system, bare, args.repeats),
            "cache": lambda: cache(system, args.repeats),
        }
        if raw is not None:
            parts["batch"] = lambda: batch(system, raw, args.repeats)
        for name in args.parts:
            turns = parts[name]()
            middle = {key: round(statistics.median(turn[key] for turn in turns), 3) for key in turns[0]}
            print(tables[name](middle))
            write_results(
                args.out, name, {"machine": machine(), "load_after": load(), "median": middle, "turns": turns}
            )
    if raw is not None:
        raw.close()


def _warm(system: System) -> Run:
    for size in (1, 2, 4, 8, 16, 32, 100):
        drive(system.port, system.text_path, [system.texts(workloads.mid(size)) for _ in range(3)], 1)
    return drive(system.port, system.text_path, [system.texts([text]) for text in workloads.mid(500)], CLIENTS)


def core_table(figures: Figures) -> str:
    wanted = {"single embedding": 10, "batch of 100 short texts": 50, "cache hit": 1}
    lines = ["| operation | p50 ms | target ms |", "|---|---|---|"]
    lines += [
        f"| {name} | {ms:.2f} | {f'< {wanted[name]}' if name in wanted else '–'} |" for name, ms in figures.items()
    ]
    return "\n".join(lines)


def batch_table(figures: Figures) -> str:
    lines = ["| batch size | embeddings/s | raw model | ratio | against single |", "|---|---|---|---|---|"]
    for size in BATCHES:
        ours, raw = figures[f"ours {size}"], figures[f"raw {size}"]
        lines.append(f"| {size} | {ours:.0f} | {raw:.0f} | {ours / raw:.2f} | {ours / figures['ours 1']:.1f}x |")
    return "\n".join(lines)


def cache_table(figures: Figures) -> str:
    lines = ["| hits asked | hits seen | requests/s | mean ms | speed-up |", "|---|---|---|---|---|"]
    for share in HIT_SHARES:
        rate, mean = figures[f"requests/s {share}"], figures[f"mean ms {share}"]
        seen, gain = figures[f"hit share {share}"], rate / figures["requests/s 0.0"]
        lines.append(f"| {share:.0%} | {seen:.1%} | {rate:.0f} | {mean:.2f} | {gain:.1f}x |")
    return "\n".join(lines)


tables: dict[str, Callable[[Figures], str]] = {"core": core_table, "batch": batch_table, "cache": cache_table}


if __name__ == "__main__":
    main()
