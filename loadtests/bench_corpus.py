"""Bulk figures as one JSON object: `python -m loadtests.bench_corpus [rows ...]`. States the load they were made under.

Per row count: vectors/s and peak memory of the whole path without Ray, then the model alone on the same texts (planned
batches, nothing read or written). `search_ms`: the best of 5 exact searches over 10^6 x 384 written float32 vectors.
"""

import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from app.corpus_model import load_model
from app.corpus_run import CorpusOptions, embed_corpus, in_process
from app.corpus_search import nearest
from app.settings import DEFAULT_TEXT_MODEL, ModelArgs

WORDS = ["river", "stone", "winter", "engine", "market", "letter", "quiet", "copper", "signal", "garden", "the", "of"]
SAMPLE = 4096


def text(rng: random.Random) -> str:
    return " ".join(rng.choices(WORDS, k=rng.randint(20, 60)))


def one(rows: int) -> dict[str, float]:
    """In a process of its own, so that peak memory is this run's."""
    rng, threads = random.Random(rows), os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "in.jsonl")
        with source.open("w") as file:
            for i in range(rows):
                file.write(json.dumps({"id": i, "text": f"{i} {text(rng)}"}) + "\n")
        summary = embed_corpus(str(source), f"{folder}/out", CorpusOptions(threads=threads), in_process())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    model = load_model(ModelArgs(id=DEFAULT_TEXT_MODEL), "text", threads, True)
    sample = [text(rng) for _ in range(min(rows, SAMPLE))]
    model.texts(sample[:256])
    started = time.perf_counter()
    model.texts(sample)
    raw = len(sample) / (time.perf_counter() - started)
    return {
        "rows": rows,
        "vectors_per_s": summary["vectors_per_s"],
        "model_per_s": round(raw, 1),
        "peak_mb": round(peak),
    }


def search_ms(rows: int = 1_000_000, dimensions: int = 384) -> float:
    random_ = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        vectors = np.lib.format.open_memmap(f"{folder}/v.npy", "w+", np.float32, (rows, dimensions))
        for start in range(0, rows, 50_000):
            block = random_.standard_normal((50_000, dimensions), dtype=np.float32)
            vectors[start : start + 50_000] = block / np.linalg.norm(block, axis=1, keepdims=True)
        vectors.flush()
        mapped = np.load(f"{folder}/v.npy", mmap_mode="r")
        times = []
        for _ in range(5):
            started = time.perf_counter()
            nearest(random_.standard_normal(dimensions, dtype=np.float32), mapped, 10, os.cpu_count() or 1)
            times.append(time.perf_counter() - started)
    return round(min(times) * 1e3, 1)


def main(counts: list[int]) -> None:
    if counts[:1] == [-1]:
        print(json.dumps(one(counts[1])))
        return
    runs = []
    for rows in counts:
        done = subprocess.run(
            [sys.executable, "-m", "loadtests.bench_corpus", "-1", str(rows)],
            capture_output=True,
            text=True,
            check=True,
        )
        runs.append(json.loads(done.stdout) | {"load": round(os.getloadavg()[0], 2)})
    print(json.dumps({"runs": runs, "search_ms": search_ms(), "load": round(os.getloadavg()[0], 2)}))


if __name__ == "__main__":
    main([int(argument) for argument in sys.argv[1:]] or [10_000, 200_000])
