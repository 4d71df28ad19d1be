"""Order, ties, thresholds and top-k of `app.vectors.similarity`; `test_similarity.py` has the values."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import InvalidRequest
from app.types import SimilarityMetric
from app.vectors.similarity import normalize, rank

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


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("top_k", [None, 3])
@pytest.mark.parametrize("dimensions", [2, 3, 64, 384, 1024])
def test_an_equal_vector_stands_before_every_near_duplicate(
    metric: SimilarityMetric, top_k: int | None, dimensions: int
) -> None:
    random = np.random.default_rng(dimensions)
    for _ in range(40):
        query = normalize(random.standard_normal(dimensions))
        candidates = np.repeat(query[None], 20, axis=0)
        # Each differs in the last digit of one number or of several, but the one in the middle.
        for row in (*range(10), *range(11, 20)):
            places = random.integers(0, dimensions, random.integers(1, 4))
            candidates[row, places] = np.nextafter(candidates[row, places], random.choice([-2, 2]), dtype=np.float32)
        if metric == "dot":
            # Nothing is nearer than itself only among vectors that are no longer.
            candidates /= np.linalg.norm(candidates.astype(np.float64), axis=1)[:, None] * 1.001
            candidates[10] = query
        ranking = rank(query, candidates, metric=metric, top_k=top_k)
        assert ranking.indices[0] == 10
        assert metric != "cosine" or ranking.scores[0] == 1


@pytest.mark.parametrize("vector", [[1, 2, 3], [0.1, 0.2, 0.3], [1e-20, 1e-20, 3e-20], [1e30, 2e30, -1e30]])
def test_a_vector_matches_itself_whatever_its_length(vector: list[float]) -> None:
    longer = [4 * number for number in vector]
    ranking = rank(vector, [longer, vector, [-number for number in vector]], threshold=1)
    assert (ranking.indices.tolist(), ranking.scores.tolist()) == ([0, 1], [1, 1])
    assert rank(vector, [[-number for number in vector]]).scores.tolist() == [-1]


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("top_k", [None, 1])
@pytest.mark.parametrize("odd", [np.inf, -np.inf, np.nan])
def test_a_number_that_is_not_finite_is_refused_by_its_row(
    metric: SimilarityMetric, top_k: int | None, odd: float
) -> None:
    rows = np.array([[1, 1], [odd, 1], [1, 2]], np.float32)
    with pytest.raises(InvalidRequest, match=r"candidates\.1"):
        rank([1, 1], rows, metric=metric, top_k=top_k)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("top_k", [None, 30, 600])
def test_the_order_is_that_of_exact_arithmetic(metric: SimilarityMetric, top_k: int | None) -> None:
    """Scores as close together as 1e-7, far below what float32's sums can tell."""
    random = np.random.default_rng(7)
    query = normalize(random.standard_normal(384))
    candidates = normalize(query + 0.3 * normalize(random.standard_normal((1500, 384))))
    candidates[:700] = candidates[0] + 1e-7 * random.standard_normal((700, 384)).astype(np.float32)
    wide, rows = query.astype(np.longdouble), candidates.astype(np.longdouble)
    exact = {
        "cosine": -(rows @ wide) / np.sqrt((rows * rows).sum(1) * (wide @ wide)),
        "dot": -(rows @ wide),
        "euclidean": np.sqrt(((rows - wide) ** 2).sum(1)),
    }[metric]
    order = rank(query, candidates, metric=metric, top_k=top_k).indices
    assert (np.diff(exact[order]) >= -1e-11).all()
    assert exact[order[-1]] <= np.sort(exact)[len(order) - 1] + 1e-11
