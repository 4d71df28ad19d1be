"""Milliseconds to rank 10,000 x 384 candidates on one core. Run: `python -m loadtests.bench_similarity`.

Prints one JSON object: the median of 31 repeats per metric, for the top 10 and for a full ordering.
"""

import json
import os
import statistics
import time

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # read when numpy loads

import numpy as np

from app.types import SimilarityMetric
from app.vectors.similarity import rank

CANDIDATES, DIMENSIONS, REPEATS = 10_000, 384, 31
METRICS: tuple[SimilarityMetric, ...] = ("cosine", "euclidean", "dot")


def measure(metric: SimilarityMetric, top_k: int | None) -> float:
    """Median milliseconds of the ranking stage alone, arrays ready."""
    random = np.random.default_rng(0)
    candidates = random.standard_normal((CANDIDATES, DIMENSIONS), dtype=np.float32)
    query = random.standard_normal(DIMENSIONS, dtype=np.float32)
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        rank(query, candidates, metric=metric, top_k=top_k)
        times.append(time.perf_counter() - start)
    return round(statistics.median(times) * 1000, 2)


if __name__ == "__main__":
    result = {m: {"top10_ms": measure(m, 10), "all_ms": measure(m, None)} for m in METRICS}
    print(json.dumps(result))
