"""Order, ties, thresholds and top-k of `app.vectors.similarity`; `test_similarity.py` has the values."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from app.types import SimilarityMetric
from app.vectors.similarity import rank, top_k_order

METRICS: tuple[SimilarityMetric, ...] = ("cosine", "euclidean", "dot")


def pairs(ranking_of: Sequence[float], largest: bool) -> list[int]:
    """Indices best first, ties by index, the slow way."""
    return sorted(range(len(ranking_of)), key=lambda i: (-ranking_of[i] if largest else ranking_of[i], i))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dimensions", [3, 383, 384, 513])
def test_equal_candidates_tie_wherever_they_stand(metric: SimilarityMetric, dimensions: int) -> None:
    """A matrix-vector product fails this: BLAS sums the last rows in another order."""
    random = np.random.default_rng(2)
    row = random.standard_normal((1, dimensions), dtype=np.float32)
    ranking = rank(random.standard_normal(dimensions, dtype=np.float32), row.repeat(1003, 0), metric=metric, top_k=5)
    assert ranking.indices.tolist() == [0, 1, 2, 3, 4]
    assert len(set(ranking.scores.tolist())) == 1


def test_thresholds_are_inclusive_in_float32() -> None:
    candidates = [[0.7], [0.5], [0.9]]  # float32 of 0.7 is a little less than 0.7
    assert rank([1.0], candidates, metric="dot", threshold=0.7).indices.tolist() == [2, 0]
    assert rank([0.0], candidates, metric="euclidean", threshold=0.7).indices.tolist() == [1, 0]
    assert rank([1.0], candidates, threshold=1.0).indices.tolist() == [0, 1, 2]
    assert rank([1.0], candidates, metric="dot", threshold=2.0).indices.tolist() == []
    assert rank([1.0], candidates, metric="dot", threshold=-1e300).indices.tolist() == [2, 0, 1]


grid = st.integers(-2, 2).map(float)  # few values, hence many exact ties


@settings(max_examples=150)
@given(
    data=st.data(),
    metric=st.sampled_from(METRICS),
    dimensions=st.integers(1, 3),
    top_k=st.none() | st.integers(0, 40),
)
def test_order_ties_threshold_and_top_k(
    data: st.DataObject, metric: SimilarityMetric, dimensions: int, top_k: int
) -> None:
    vector = st.lists(grid, min_size=dimensions, max_size=dimensions)
    query = data.draw(vector)
    candidates = data.draw(st.lists(vector, max_size=30))
    full = rank(query, candidates, metric=metric)
    by_index = dict(zip(full.indices.tolist(), full.scores.tolist(), strict=True))
    scores = [by_index[index] for index in range(len(candidates))]
    largest = metric != "euclidean"
    order = pairs(scores, largest)
    assert full.indices.tolist() == order
    threshold = data.draw(st.none() | st.sampled_from([*scores, -1.0, 0.0, 1.5]))
    if threshold is not None:
        order = [i for i in order if (scores[i] >= threshold if largest else scores[i] <= threshold)]
    ranking = rank(query, candidates, metric=metric, top_k=top_k, threshold=threshold)
    assert ranking.indices.tolist() == order[:top_k]
    assert ranking.scores.tolist() == [scores[index] for index in order[:top_k]]


@settings(max_examples=150)
@given(scores=st.lists(st.integers(-3, 3).map(float), max_size=40), k=st.integers(0, 45), largest=st.booleans())
def test_top_k_order(scores: list[float], k: int, largest: bool) -> None:
    order: NDArray[np.int64] = top_k_order(np.array(scores, np.float32), k, largest=largest)
    assert order.tolist() == pairs(scores, largest)[:k]


def test_negative_k_is_a_bug_of_the_caller() -> None:
    with pytest.raises(ValueError, match="0 or more"):
        top_k_order(np.zeros(3, np.float32), -1, largest=True)
