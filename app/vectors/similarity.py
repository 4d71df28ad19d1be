"""Ranks vectors against a query and normalizes vectors. Pure numpy; no models, texts or wire formats.

Sums are computed in float32 with `np.vecdot`, one BLAS dot product per row. Unlike a matrix-vector product it treats
every row alike, so equal candidates get equal scores and ties are real. Rows whose squares leave the safe range of
float32 (norms above about 1e18 or below 1e-12, and zero vectors) are recomputed in float64.
Error against float64, for up to 4096 dimensions: cosine 2e-6, euclidean 2e-6 of the distance, dot 2e-6 of the product
of both norms.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from app.errors import InvalidRequest
from app.types import SimilarityMetric, Vector

_FLOAT32_MAX = float(np.finfo(np.float32).max)
# Sums in this range neither overflowed nor lost relevant small products to underflow.
_SUM_MIN, _SUM_MAX = 1e-24, 1e36
_BLOCK_BYTES = 256 * 1024  # differences are computed in blocks that fit the CPU's second-level cache


@dataclass(frozen=True, slots=True, eq=False)
class ScoredIndices:
    """Best first: `indices` int64 (k,) into the candidates, `scores` float32 (k,), always finite."""

    indices: NDArray[np.int64]
    scores: Vector


def rank(
    query: ArrayLike,
    candidates: ArrayLike,
    *,
    metric: SimilarityMetric = "cosine",
    top_k: int | None = None,
    threshold: float | None = None,
) -> ScoredIndices:
    """Order candidates by their score against the query, ties by index.

    Args:
        query: (d,).
        candidates: (n, d); C-contiguous float32 is not copied; n may be 0.
        metric: cosine (-1 to 1; 0 for a zero vector) and dot: larger is better. euclidean: the score is the
            distance; smaller is better, and equal vectors have exactly 0. Scores beyond the range of float32
            become its largest finite value, so they tie.
        top_k: Maximum number of results; None: all; may exceed n.
        threshold: The minimum score for cosine and dot, the maximum for euclidean, compared in float32.

    Raises:
        InvalidRequest: The dimensions differ, a shape is wrong, or a number is not finite in float32.
    """
    query, candidates = _checked(query, candidates)
    if len(candidates) == 0:
        scores = np.empty(0, np.float32)
    else:
        # Overflow and underflow are expected: such rows are recomputed in float64.
        with np.errstate(all="ignore"):
            exact = _SCORES[metric](query, candidates)
            if not np.isfinite(exact).all():
                _check_finite(candidates)
            # Adding 0 turns -0 into 0.
            scores = np.clip(exact, -_FLOAT32_MAX, _FLOAT32_MAX).astype(np.float32) + np.float32(0)
    largest = metric != "euclidean"
    kept: NDArray[np.int64] | None = None
    if threshold is not None:
        with np.errstate(over="ignore"):
            limit = np.float32(threshold)
        kept = np.flatnonzero(scores >= limit if largest else scores <= limit)
        scores = scores[kept]
    order = top_k_order(scores, len(scores) if top_k is None else top_k, largest=largest)
    return ScoredIndices(order if kept is None else kept[order], scores[order])


def top_k_order(scores: Vector, k: int, *, largest: bool) -> NDArray[np.int64]:
    """Indices (min(k, n),) of the k best of finite scores (n,), best first, ties by index.

    Raises:
        ValueError: k is negative.
    """
    if k < 0:
        raise ValueError("k must be 0 or more")
    ascending = -scores if largest else scores
    if k >= len(scores):
        return np.argsort(ascending, kind="stable")
    if k == 0:
        return np.empty(0, np.int64)
    # A partition picks arbitrary ones of the candidates that tie at the cut; take the first ones instead.
    cut = np.partition(ascending, k - 1)[k - 1]
    better = np.flatnonzero(ascending < cut)
    chosen = np.concatenate([better, np.flatnonzero(ascending == cut)[: k - len(better)]])
    return chosen[np.argsort(ascending[chosen], kind="stable")]


def normalize(vectors: ArrayLike) -> Vector:
    """Scale rows to length 1: a new float32 array of the same shape, (d,) or (n, d); zero rows stay zero.

    Args:
        vectors: Finite numbers of any magnitude.
    """
    rows = np.asarray(vectors, np.float32)
    with np.errstate(all="ignore"):
        squares = np.vecdot(rows, rows)
        out: Vector = rows / np.sqrt(squares)[..., None]
        unsafe = ~((squares >= _SUM_MIN) & (squares <= _SUM_MAX))
        if unsafe.any():
            wide = rows[unsafe].astype(np.float64)
            norms = np.sqrt(np.vecdot(wide, wide))
            norms[norms == 0] = 1
            out[unsafe] = wide / norms[:, None]
    return out


def _checked(query: ArrayLike, candidates: ArrayLike) -> tuple[Vector, Vector]:
    query, candidates = _array(query, "query"), _array(candidates, "candidates")
    if query.ndim != 1:
        raise InvalidRequest("`query` must be one vector, a list of numbers.", "query")
    if not np.isfinite(query).all():
        raise InvalidRequest("`query` has a number that is not finite in float32.", "query")
    if candidates.ndim == 1 and candidates.size == 0:
        candidates = candidates.reshape(0, query.size)
    if candidates.ndim != 2:
        raise InvalidRequest("`candidates` must be a list of vectors of equal length.", "candidates")
    if len(candidates) and candidates.shape[1] != query.size:
        message = f"`candidates` have {candidates.shape[1]} dimensions, but `query` has {query.size}."
        raise InvalidRequest(message, "candidates")
    return query, candidates


def _array(numbers: ArrayLike, param: str) -> Vector:
    try:
        with np.errstate(over="ignore"):  # values beyond float32 become infinite, which is rejected
            return np.asarray(numbers, np.float32)
    except (TypeError, ValueError) as error:
        raise InvalidRequest(f"`{param}` must be numbers, and vectors of equal length.", param) from error


def _check_finite(candidates: Vector) -> None:
    bad = np.flatnonzero(~np.isfinite(candidates).all(axis=1))
    if bad.size:
        param = f"candidates.{bad[0]}"
        raise InvalidRequest(f"`{param}` has a number that is not finite in float32.", param)


def _unsafe_rows(sums: NDArray[np.floating]) -> NDArray[np.int64]:
    """Rows whose sum of products is outside the safe range of float32; includes NaN."""
    return np.flatnonzero(~((sums >= _SUM_MIN) & (sums <= _SUM_MAX)))


def _dot(query: Vector, candidates: Vector) -> NDArray[np.float64]:
    products: NDArray[np.float64] = np.vecdot(candidates, query).astype(np.float64)
    for rows in _blocks(_unsafe_rows(np.abs(products)), query.size):
        products[rows] = np.vecdot(candidates[rows].astype(np.float64), query.astype(np.float64))
    return products


def _cosine(query: Vector, candidates: Vector) -> NDArray[np.float64]:
    unit = normalize(query)
    squares = np.vecdot(candidates, candidates).astype(np.float64)
    cosines: NDArray[np.float64] = np.vecdot(candidates, unit) / np.sqrt(squares)
    for rows in _blocks(_unsafe_rows(squares), query.size):
        wide = candidates[rows].astype(np.float64)
        norms = np.sqrt(np.vecdot(wide, wide))
        norms[norms == 0] = 1
        cosines[rows] = np.vecdot(wide, unit.astype(np.float64)) / norms
    return np.clip(cosines, -1, 1)


def _euclidean(query: Vector, candidates: Vector) -> NDArray[np.float64]:
    # |a|² + |b|² - 2ab would save a pass but is inaccurate for near neighbours, which are the results.
    squares = np.empty(len(candidates), np.float32)
    step = max(1, _BLOCK_BYTES // max(1, 4 * query.size))
    scratch = np.empty((min(step, len(candidates)), query.size), np.float32)
    for start in range(0, len(candidates), step):
        block = candidates[start : start + step]
        difference = np.subtract(block, query, out=scratch[: len(block)])
        np.vecdot(difference, difference, out=squares[start : start + step])
    distances: NDArray[np.float64] = np.sqrt(squares, dtype=np.float64)
    for rows in _blocks(_unsafe_rows(squares), query.size):
        wide = candidates[rows].astype(np.float64) - query
        distances[rows] = np.sqrt(np.vecdot(wide, wide))
    return distances


def _blocks(rows: NDArray[np.int64], dimensions: int) -> list[NDArray[np.int64]]:
    """Split rows into blocks whose float64 copies stay small."""
    step = max(1, _BLOCK_BYTES // max(1, 8 * dimensions))
    return [rows[start : start + step] for start in range(0, len(rows), step)]


_SCORES = {"cosine": _cosine, "euclidean": _euclidean, "dot": _dot}
