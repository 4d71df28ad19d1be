"""Bulk embedding against the model alone: `python -m loadtests.bench_corpus [rows ...]`, or `make bench-corpus`.

Per row count: makes so many distinct texts of mid length, runs the `embed-corpus` command on them as anybody would,
and prints rows/s, tokens/s, the most memory that all its processes held together (PSS) and the ratio to the model
alone. A table on stderr, JSON on stdout, each with the load it was made under.

The model alone: texts in memory, tokenised, sorted by length, in batches of `RAW_BATCHES`, kernels warm; one run of the
model at a time on every thread, and one on each; the best pass of them all, right before and right after each corpus.
`ratio` is to the mean of these two, as machines get slower and faster in minutes; `of_best` to the best pass of all.
`rows_per_s` leaves out the start (Ray, the model, the first look through the source), which is told as `start_s`.
"""

import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from app.config.args import DEFAULT_TEXT_MODEL, ModelArgs
from app.encoders.text import TextModel, load_text_model

WORDS = ["river", "stone", "winter", "engine", "market", "letter", "quiet", "copper", "signal", "garden", "the", "of"]
FEWEST, MOST = 12, 28  # words: 15 to 33 tokens
RAW, RAW_BATCHES, RAW_TEXTS = "raw", (32, 64), 4096
# Reading a page table costs some milliseconds a process, of the time that is measured.
SAMPLE_S = 5.0


def text(rng: random.Random, number: int) -> str:
    return f"{number} " + " ".join(rng.choices(WORDS, k=rng.randint(FEWEST, MOST)))


def raw() -> dict[str, float]:
    """The model alone, in this process."""
    rng = random.Random(0)
    texts = [text(rng, i) for i in range(RAW_TEXTS)]
    threads = os.cpu_count() or 1
    rates: dict[str, float] = {}
    for streams in sorted({1, threads}):
        tower = load_text_model(ModelArgs(id=DEFAULT_TEXT_MODEL), threads=threads, offline=True, streams=streams)
        rates |= {f"{streams} x {size}": _raw(tower, texts, size) for size in RAW_BATCHES}
    return rates


def _raw(tower: TextModel, texts: list[str], size: int) -> float:
    """Texts per second of the best pass; the first makes the kernels."""

    def run(batch: list[Sequence[int]]) -> None:
        shape = (len(batch), -(-len(batch[-1]) // 8) * 8)
        numbers, mask = np.zeros(shape, np.int32), np.zeros(shape, np.int32)
        for row, sequence in enumerate(batch):
            numbers[row, : len(sequence)], mask[row, : len(sequence)] = sequence, 1
        tower._runner(numbers, mask)  # noqa: SLF001 - `run` would cut large batches

    rates = []
    with ThreadPoolExecutor(tower.streams) as pool:
        for _ in range(3):
            started = time.perf_counter()
            ids = sorted((tokenized.ids for tokenized in tower.tokenize(texts)), key=len)
            list(pool.map(run, [ids[start : start + size] for start in range(0, len(ids), size)]))
            rates.append(len(texts) / (time.perf_counter() - started))
    return max(rates)


class Memory:
    """The most that a process and all below it held at once, in bytes, shared pages counted once (PSS)."""

    def __init__(self, root: psutil.Process) -> None:
        self._root = root
        self._over = threading.Event()
        self.peak = 0
        self.processes = 0
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(SAMPLE_S):
            with suppress(psutil.Error):
                held = [_pss(process) for process in [self._root, *self._root.children(recursive=True)]]
                self.processes = max(self.processes, len(held))
                self.peak = max(self.peak, sum(held))


def _pss(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except psutil.Error:
        return 0


def corpus(rows: int, folder: str) -> dict[str, Any]:
    """One run of the command."""
    rng = random.Random(rows)
    source = Path(folder, "in.jsonl")
    with source.open("w") as file:
        for i in range(rows):
            file.write(json.dumps({"id": i, "text": text(rng, i)}) + "\n")
    command = [sys.executable, "-m", "app", "embed-corpus", str(source), "--out", f"{folder}/out"]
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "HF_HUB_OFFLINE": "1"})
    memory = Memory(psutil.Process(process.pid))
    out, _ = process.communicate()
    seconds = time.perf_counter() - began
    memory.stop()
    if process.returncode:
        raise SystemExit(process.returncode)
    summary = json.loads(out)
    assert (summary["rows"], summary["embedded"], summary["rejects"]) == (rows, rows, 0)
    return {
        "rows": rows,
        "rows_per_s": summary["vectors_per_s"],
        "tokens_per_s": summary["tokens_per_s"],
        "peak_mb": round(memory.peak / 1e6),
        "processes": memory.processes,
        "start_s": round(seconds - summary["working_seconds"], 1),
        "seconds": round(seconds, 1),
        "load": round(os.getloadavg()[0], 2),
    }


def main(counts: list[int]) -> None:
    alone = [_in_a_process_of_its_own()]
    runs = []
    for rows in counts:
        with tempfile.TemporaryDirectory() as folder:
            runs.append(corpus(rows, folder))
        alone.append(_in_a_process_of_its_own())
    bests = [max(figures.values()) for figures in alone]
    best = max(bests)
    for run, before, after in zip(runs, bests, bests[1:], strict=False):
        run["ratio"] = round(2 * run["rows_per_s"] / (before + after), 3)
        run["of_best"] = round(run["rows_per_s"] / best, 3)
    names = ["rows", "rows_per_s", "tokens_per_s", "ratio", "of_best", "peak_mb", "start_s", "seconds", "load"]
    sys.stderr.write("  ".join(f"{name:>12}" for name in names) + "\n")
    for run in runs:
        sys.stderr.write("  ".join(f"{run[name]:>12,}" for name in names) + "\n")
    sys.stderr.write(f"model alone: {best:,.0f} rows/s at best, on {os.cpu_count()} CPUs\n")
    print(json.dumps({"model_alone_rows_per_s": round(best, 1), "model_alone": alone, "runs": runs}))


def _in_a_process_of_its_own() -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-m", "loadtests.bench_corpus", RAW], stdout=subprocess.PIPE, text=True, check=True
    )
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


if __name__ == "__main__":
    if sys.argv[1:] == [RAW]:
        print(json.dumps(raw()))
    else:
        main([int(argument) for argument in sys.argv[1:]] or [10_000, 200_000])
