"""Values of `app.vectors.similarity` against plain Python in float64; `test_similarity_order.py` has the order."""

import math
from collections.abc import Sequence

import numpy as np
import pytest

from app.errors import InvalidRequest
from app.types import SimilarityMetric, Vector
from app.vectors.similarity import normalize, rank

METRICS: tuple[SimilarityMetric, ...] = ("cosine", "euclidean", "dot")
FLOAT32_MAX = float(np.finfo(np.float32).max)
TOLERANCE = 2e-6  # as `app.vectors.similarity` states it


def oracle(metric: SimilarityMetric, query: Sequence[float], candidate: Sequence[float]) -> float:
    if metric == "euclidean":
        return math.dist(query, candidate)
    product = math.fsum(a * b for a, b in zip(query, candidate, strict=True))
    if metric == "dot":
        return product
    norms = math.hypot(*query) * math.hypot(*candidate)
    return product / norms if norms else 0.0


def allowed(metric: SimilarityMetric, query: Sequence[float], candidate: Sequence[float]) -> float:
    """The stated error; the smallest float32 is added, since no score is finer than that."""
    scale = {
        "cosine": 1.0,
        "euclidean": math.dist(query, candidate),
        "dot": math.hypot(*query) * math.hypot(*candidate),
    }[metric]
    return TOLERANCE * scale + 1.5e-45


def check_scores(metric: SimilarityMetric, query: Vector, candidates: Vector) -> None:
    ranking = rank(query, candidates, metric=metric)
    assert sorted(ranking.indices.tolist()) == list(range(len(candidates)))
    assert ranking.indices.dtype == np.int64
    assert ranking.scores.dtype == np.float32
    for index, score in zip(ranking.indices, ranking.scores.tolist(), strict=True):
        one, other = query.tolist(), candidates[index].tolist()
        expected = max(-FLOAT32_MAX, min(FLOAT32_MAX, oracle(metric, one, other)))
        assert abs(score - expected) <= allowed(metric, one, other)


def test_similarity_of_known_vectors() -> None:
    query, candidates = [3.0, 4.0], [[4.0, 3.0], [3.0, 4.0], [-3.0, -4.0], [0.0, 0.0], [6.0, 8.0]]
    expected: dict[SimilarityMetric, tuple[list[int], list[float]]] = {
        "cosine": ([1, 4, 0, 3, 2], [1, 1, 0.96, 0, -1]),
        "dot": ([4, 1, 0, 3, 2], [50, 25, 24, 0, -25]),
        "euclidean": ([1, 0, 3, 4, 2], [0, math.sqrt(2), 5, 5, 10]),
    }
    for metric, (indices, scores) in expected.items():
        ranking = rank(query, candidates, metric=metric)
        assert ranking.indices.tolist() == indices
        assert ranking.scores.tolist() == pytest.approx(scores, abs=1e-6)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dimensions", [1, 2, 7, 384, 4096])
def test_scores_agree_with_float64(metric: SimilarityMetric, dimensions: int) -> None:
    random = np.random.default_rng(dimensions)
    query = random.standard_normal(dimensions, dtype=np.float32)
    candidates = random.standard_normal((50, dimensions), dtype=np.float32)
    candidates[10:20] = query * (1 + 1e-6 * random.standard_normal((10, 1))) + 1e-6  # near neighbours
    candidates[20:30] += 1000  # far from the origin, where differences cancel
    check_scores(metric, query, candidates)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("of_query", [1e-45, 1e-30, 1e-18, 1.0, 1e18, 1e30, 1e38])
@pytest.mark.parametrize("of_candidates", [1e-45, 1e-37, 1e-30, 1e-12, 1.0, 1e12, 1e18, 1e30, 1e38])
def test_any_magnitude(metric: SimilarityMetric, of_query: float, of_candidates: float) -> None:
    random = np.random.default_rng(1)
    query = (random.uniform(-1, 1, 96) * of_query).astype(np.float32)
    candidates = (random.uniform(-1, 1, (12, 96)) * of_candidates).astype(np.float32)
    candidates[3] = 0
    check_scores(metric, query, candidates)


def test_magnitudes_may_be_mixed_in_one_vector() -> None:
    query = np.array([1e30, 1, 1e-30, -1e30], np.float32)
    candidates = np.array([[1e30, 1, 1, 1e30], [1e-30, 1e30, 1, 0], [0, 0, 1e-30, 0]], np.float32)
    for metric in METRICS:
        check_scores(metric, query, candidates)


def test_what_float32_cannot_hold_saturates_and_ties() -> None:
    ranking = rank([1e30, 0], [[1e20, 0], [1e10, 0], [1e30, 0], [-1e30, 0]], metric="dot")
    assert ranking.indices.tolist() == [0, 1, 2, 3]
    assert ranking.scores.tolist() == [FLOAT32_MAX] * 3 + [-FLOAT32_MAX]
    assert rank([3e38], [[-3e38]], metric="euclidean").scores.tolist() == [FLOAT32_MAX]


@pytest.mark.parametrize("scale", [1e-40, 1e-25, 1.0, 1000.0, 1e25, 1e38])
def test_the_distance_of_equal_vectors_is_exactly_zero(scale: float) -> None:
    vector = (np.random.default_rng(3).standard_normal(384) * scale / 10).astype(np.float32)
    assert rank(vector, np.stack([vector, vector]), metric="euclidean").scores.tolist() == [0, 0]


def test_near_neighbours_far_from_the_origin_keep_their_distance() -> None:
    """The expansion |a|² + |b|² - 2ab would answer 0 or noise here."""
    query = np.full(384, 1000, np.float32)
    candidates = np.stack([query + np.float32(step) for step in (0.25, 0.0, 0.125)])
    ranking = rank(query, candidates, metric="euclidean")
    assert ranking.indices.tolist() == [1, 2, 0]
    assert ranking.scores.tolist() == pytest.approx([0, 0.125 * math.sqrt(384), 0.25 * math.sqrt(384)], rel=1e-6)


@pytest.mark.parametrize("metric", METRICS)
def test_zero_vectors(metric: SimilarityMetric) -> None:
    scores = rank([0.0, 0.0], [[0.0, 0.0], [3.0, 4.0]], metric=metric).scores.tolist()
    assert scores == ([0, 5] if metric == "euclidean" else [0, 0])


def test_a_score_is_never_minus_zero() -> None:
    """It would be written as -0.0."""
    assert not np.signbit(rank([1e-30], [[-1e-30]], metric="dot").scores).any()


def test_a_cosine_never_exceeds_one() -> None:
    vectors = np.random.default_rng(6).standard_normal((300, 5), dtype=np.float32)
    scores = np.concatenate([rank(sign * vector, vectors).scores for vector in vectors for sign in (1, -1)])
    assert np.abs(scores).max() == 1


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("candidates", [[], np.empty((0, 3)), np.empty((0, 0))])
def test_nothing_to_rank(metric: SimilarityMetric, candidates: Vector) -> None:
    ranking = rank([1.0, 2.0, 3.0], candidates, metric=metric, top_k=5, threshold=0.0)
    assert (ranking.indices.shape, ranking.scores.shape) == ((0,), (0,))
    assert ranking.indices.dtype == np.int64
    assert ranking.scores.dtype == np.float32


@pytest.mark.parametrize(
    ("query", "candidates", "param", "words"),
    [
        ([1.0, 2.0, 3.0], [[1.0, 2.0]], "candidates", "`candidates` have 2 dimensions, but `query` has 3"),
        ([1.0, 2.0], [[1.0, 2.0], [1.0]], "candidates", "vectors of equal length"),
        ([1.0, 2.0], [1.0, 2.0], "candidates", "list of vectors"),
        ([[1.0]], [[1.0]], "query", "one vector"),
        ([math.nan], [[1.0]], "query", "not finite"),
        ([1e300], [[1.0]], "query", "not finite"),
        ([0.0, 1.0], [[1.0, 1.0], [math.inf, 1.0]], "candidates.1", "not finite"),
        ([0.0, 1.0], [[math.nan, 1.0], [math.inf, 1.0]], "candidates.0", "not finite"),
    ],
)
def test_what_cannot_be_ranked_is_refused(
    query: list[float], candidates: list[list[float]], param: str, words: str
) -> None:
    for metric in METRICS:
        with pytest.raises(InvalidRequest, match=words) as caught:
            rank(query, candidates, metric=metric)
        assert caught.value.param == param


def test_candidates_are_read_only_and_may_be_strided() -> None:
    random = np.random.default_rng(4)
    wide = random.standard_normal((40, 20), dtype=np.float32)
    strided, query = wide[::2, ::2], wide[0, ::2].copy()
    wide.setflags(write=False)
    for metric in METRICS:
        check_scores(metric, query, strided)


def test_normalize_scales_to_length_one() -> None:
    random = np.random.default_rng(5)
    scales = np.array([1, 1e-45, 1e-38, 1e-20, 1e-12, 1e12, 1e20, 1e38, 0])
    rows = (random.uniform(-1, 1, (9, 384)) * scales[:, None]).astype(np.float32)
    unit = normalize(rows)
    assert unit.dtype == np.float32
    assert unit.shape == rows.shape
    wide = rows.astype(np.float64)
    norms = np.sqrt((wide**2).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(unit[:8], wide[:8] / norms[:8], rtol=1e-6, atol=1e-9)
    assert not unit[8].any()
    for row, expected in zip(rows, unit, strict=True):
        np.testing.assert_array_equal(normalize(row), expected)
    assert normalize(np.empty((0, 384), np.float32)).shape == (0, 384)
