"""Exact search over written vectors: `python -m loadtests.bench_corpus_search`, or `make bench-corpus-search`.

Writes random unit vectors into a scratch folder of `--dir` (10^6 x 384 are 1.5 GB; deleted afterwards), maps them as
`search` does and prints the milliseconds of top-10 searches, and the load they were made under. The file is in the
page cache then, having just been written.
"""

import argparse
import json
import os
import tempfile
import time

import numpy as np

from app.corpus.search import nearest

BLOCK = 50_000


def main(rows: int, dimensions: int, searches: int, folder: str | None) -> None:
    random = np.random.default_rng(0)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        path = f"{scratch}/vectors.npy"
        vectors = np.lib.format.open_memmap(path, "w+", np.float32, (rows, dimensions))
        for start in range(0, rows, BLOCK):
            block = random.standard_normal((min(BLOCK, rows - start), dimensions), dtype=np.float32)
            vectors[start : start + BLOCK] = block / np.linalg.norm(block, axis=1, keepdims=True)
        vectors.flush()
        del vectors
        mapped = np.load(path, mmap_mode="r")
        threads = os.cpu_count() or 1
        times = []
        for number in random.integers(rows, size=searches):
            started = time.perf_counter()
            ranking = nearest(np.array(mapped[number]), mapped, 10, threads)
            times.append((time.perf_counter() - started) * 1e3)
            assert ranking.indices[0] == number
    figures = {
        "rows": rows,
        "dimensions": dimensions,
        "threads": threads,
        "first_ms": round(times[0], 1),
        "median_ms": round(float(np.median(times)), 1),
        "best_ms": round(min(times), 1),
        "load": round(os.getloadavg()[0], 2),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--dimensions", type=int, default=384)
    parser.add_argument("--searches", type=int, default=10)
    parser.add_argument("--dir", help="where the vectors are written; default: the system's folder for scratch files")
    options = parser.parse_args()
    main(options.rows, options.dimensions, options.searches, options.dir)
