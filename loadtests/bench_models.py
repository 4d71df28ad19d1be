"""Text models in process, each in a process of its own: seconds to ready, memory then, and the time of texts.

Run: `python -m loadtests.bench_models [--precision f32 bf16 int8] [--cache FOLDER] MODEL...` (directories or names).
`first` is the start that converts the model where FOLDER has no conversion of it, `start` one after it: the figures
that follow are of that one, in the profiles and with the kernels of a replica of the service.
"""

import argparse
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Sequence
from typing import Any

import psutil

from app.config.args import ModelArgs
from app.encoders import shapes
from app.encoders.text import TextModel, load_text_model
from loadtests.systems import machine
from loadtests.workloads import mid

STREAMS, TOKENS, ROWS, REPEATS = 2, 1024, 32, 15  # as deployments.text_encoder loads it
COLUMNS = (
    f"{'backend':14} {'first s':>8} {'start s':>8} {'RSS MB':>7} {'one text ms':>12} {'100 mid texts ms':>17}  model"
)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--precision", nargs="+", default=["auto"])
    parser.add_argument("--cache", help="converted models, kept; default: a folder for this run")
    parser.add_argument("models", nargs="+", metavar="MODEL")
    given = parser.parse_args(arguments)
    print(machine())
    print(COLUMNS)
    with tempfile.TemporaryDirectory() as scratch:
        for model in given.models:
            for precision in given.precision:
                args = ModelArgs(id=model, precision=precision, device="cpu", cache_dir=given.cache or scratch)
                print(row(args), flush=True)


def row(args: ModelArgs) -> str:
    (first, *_), (_, start, rss, one, hundred, backend) = apart(args, False), apart(args, True)
    return (
        f"{backend:14} {first:8.1f} {start:8.1f} {rss / 1e6:7.0f} {one * 1e3:12.2f} {hundred * 1e3:17.1f}  {args.name}"
    )


def apart(args: ModelArgs, texts: bool) -> tuple[Any, ...]:
    """`measure` in a new process."""
    with multiprocessing.get_context("spawn").Pool(1) as process:
        return process.apply(measure, (args, texts))


def measure(args: ModelArgs, texts: bool) -> tuple[Any, ...]:
    """(seconds, the same again, bytes, seconds of one text, of 100 mid texts, backend and precision)."""
    threads = psutil.cpu_count() or 1
    started = time.perf_counter()
    model = load_text_model(args, threads=threads, offline=True, streams=STREAMS, latency_profile=True)
    model.warm(shapes.warmed(ROWS, TOKENS, shapes.lengths(model.info.max_tokens)))
    ready, rss = time.perf_counter() - started, psutil.Process().memory_info().rss
    one = timed(model, 1) if texts else 0.0
    return ready, ready, rss, one, timed(model, 100) if texts else 0.0, f"{model.info.backend} {model.info.precision}"


def timed(model: TextModel, count: int) -> float:
    """The median time of so many new texts, tokenised, run by length with all threads."""
    times = []
    for number in range(REPEATS):
        texts = mid(count)
        started = time.perf_counter()
        ids = sorted((text.ids for text in model.tokenize(texts)), key=len)
        for start in range(0, count, ROWS):
            model.run(ids[start : start + ROWS], exclusive=True)
        if number:  # the first builds what kernels its shapes lack
            times.append(time.perf_counter() - started)
    return statistics.median(times)


if __name__ == "__main__":
    main()
