"""Bulk embedding with 1, 2 and 4 workers: `python -m loadtests.bench_corpus_workers`, or `make bench-corpus-workers`.

The encoder is a STAND-IN that sleeps a fixed time for each text, so that what is seen is the machinery around it
(spans, actors, parts, receipts) and not how many cores this machine has. The clock starts when all workers are there.
"""

import argparse
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from app.config.args import ModelArgs
from app.corpus.model import CorpusModel, EncodedRows
from app.corpus.run import CorpusOptions, embed_corpus
from app.types import ModelInfo, Span, TokenizedText
from app.words import Modality
from deployments.corpus import cluster, on_ray

DIMENSIONS, SECONDS_PER_TEXT, PATIENCE_S = 8, 0.004, 120.0
INFO = ModelInfo("stand-in that sleeps", "none", DIMENSIONS, 256, ("text",), "sleep", "f32", normalized=True)


@dataclass
class Sleeper:
    """Notes each batch in `folder`, in a file named after its process; the first waits for `workers` processes."""

    folder: Path
    workers: int
    met: bool = False
    info: ModelInfo = INFO
    device: threading.Lock = field(default_factory=threading.Lock)

    def tokenize(self, texts: Sequence[str]) -> list[TokenizedText]:
        return [TokenizedText((0,), False) for _ in texts]

    def texts(self, texts: Sequence[str], task: str = "document") -> EncodedRows:
        notes = self.folder / f"worker-{os.getpid()}"
        if not self.met:
            notes.touch()
            self._wait_for_the_others()
        with self.device:  # it sleeps for one at a time, as a model runs
            started = time.time()
            time.sleep(SECONDS_PER_TEXT * len(texts))
            with notes.open("a") as file:
                file.write(f"{started} {time.time()} {len(texts)}\n")
        return EncodedRows(np.ones((len(texts), DIMENSIONS), np.float32), [1] * len(texts), {})

    def images(self, files: Sequence[bytes]) -> EncodedRows:
        raise NotImplementedError

    def chunks(self, *_: Any) -> list[list[Span]]:
        raise NotImplementedError

    def _wait_for_the_others(self) -> None:
        give_up = time.monotonic() + PATIENCE_S
        while len(list(self.folder.glob("worker-*"))) < self.workers:
            if time.monotonic() > give_up:
                raise TimeoutError(f"{self.workers} workers never ran at once")
            time.sleep(0.01)
        self.met = True


def load(folder: Path, workers: int, args: ModelArgs, kind: Modality, threads: int, offline: bool) -> CorpusModel:
    return Sleeper(folder, workers)


def measure(source: Path, workers: int, part_rows: int, rows: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        execute = on_ray(workers, 0.1, 0, partial(load, folder, workers))
        summary = embed_corpus(str(source), f"{scratch}/out", CorpusOptions(part_rows=part_rows), execute)
        notes = [[line.split() for line in file.open()] for file in sorted(folder.glob("worker-*"))]
    batches = [(float(start), float(end)) for lines in notes for start, end, _ in lines]
    seconds = max(end for _, end in batches) - min(start for start, _ in batches)
    assert summary["rows"] == summary["embedded"] == rows
    return {
        "workers": workers,
        "batches": len(batches),
        "rows_of_each": [sum(int(count) for *_, count in lines) for lines in notes],
        "most_at_once": max(sum(s <= start < e for s, e in batches) for start, _ in batches),
        "seconds": round(seconds, 2),
        "rows_per_s": round(rows / seconds, 1),
    }


def main(rows: int, part_rows: int, counts: list[int]) -> None:
    with tempfile.TemporaryDirectory() as folder, cluster(None):
        source = Path(folder, "in.jsonl")
        source.write_text("".join(json.dumps({"text": f"text {i}"}) + "\n" for i in range(rows)))
        runs = [measure(source, workers, part_rows, rows) for workers in counts]
    for run in runs:
        run["speed_up"] = round(run["rows_per_s"] / runs[0]["rows_per_s"], 2)
        sys.stderr.write(
            f"{run['workers']} workers: {run['rows_per_s']:8,.1f} rows/s, {run['speed_up']:.2f} times, "
            f"{run['most_at_once']} batches at once, rows of each {run['rows_of_each']}\n"
        )
    print(json.dumps({"encoder": INFO.id, "seconds_per_text": SECONDS_PER_TEXT, "runs": runs}))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=4096)
    parser.add_argument("--part-rows", type=int, default=32)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    options = parser.parse_args()
    # As `python -m loadtests...` this module is `__main__`, which the workers could not import it by.
    from loadtests import bench_corpus_workers

    bench_corpus_workers.main(options.rows, options.part_rows, options.workers)
