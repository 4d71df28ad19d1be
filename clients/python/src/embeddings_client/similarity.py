"""Ranks vectors against a query and normalizes vectors. Pure numpy; no models, texts or wire formats.

All candidates are scored in float32 through `np.vecdot`, one BLAS dot product per row: unlike a matrix-vector product
it treats every row alike. Where that leaves a place open, rows are scored again in float64: those closer to each other
or to the threshold than float32's error, cosines next to 1 and -1, and rows whose squares leave the comfortable range
of float32 (about 1e18 or 1e-12 in norm, and zero vectors). So the order is float64's, equal candidates tie, and the
cosine of a vector with itself is exactly 1. Scores agree with float64, for up to 4096 dimensions: cosine within 2e-6,
euclidean within 2e-6 of the distance, dot within 2e-6 of the product of both norms.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from embeddings_client.errors import InvalidRequest
from embeddings_client.types import SimilarityMetric, Vector

_FLOAT32_MAX = float(np.finfo(np.float32).max)
# Sums between these lost nothing that matters to underflow of small products, and did not overflow.
_SUM_MIN, _SUM_MAX = 1e-24, 1e36
# What float32 may be wrong by: of a cosine, of a distance, of the product of two norms.
_ERROR = 2e-6
# Half a squared distance of unit vectors in float64; one float32 digit of one number in thousands makes 1e-20.
_NOTHING = 1e-28
# The same of float64, and how many are ordered with float32's help.
_WIDE_ERROR = 1e-12
_FEW = 512
_BLOCK_BYTES = 256 * 1024  # differences are made in pieces that stay in the processor's second-level cache


Rows = NDArray[np.floating]
Distances = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """Best first: `indices` int64 (k,) into the candidates, `scores` float32 (k,), always finite."""

    indices: NDArray[np.int64]
    scores: Vector
    metric: SimilarityMetric
    space: str | None = None


def rank(
    query: ArrayLike,
    candidates: ArrayLike,
    metric: SimilarityMetric = "cosine",
    top_k: int | None = None,
    threshold: float | None = None,
) -> Ranking:
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
        return Ranking(np.empty(0, np.int64), np.empty(0, np.float32), metric)
    # Nearly all of a long order have a neighbour that float32 could not tell them from.
    wide = top_k is None or top_k > _FEW
    # Overflow and underflow are expected: such rows are scored again in float64.
    with np.errstate(all="ignore"):
        far, error = _rough(metric, query, candidates, wide)
        _refine(metric, query, candidates, far, _untrusted(far, candidates))
        # Beyond float32 all are its largest number, and tie.
        far = far.clip(-_FLOAT32_MAX, _FLOAT32_MAX)
        chosen = _contenders(far, error, top_k)
        unsettled = _unsettled(metric, far[chosen], error[chosen]) if wide else slice(None)
        _refine(metric, query, candidates, far, chosen[unsettled])
        chosen = chosen[np.argsort(far[chosen], kind="stable")]
        # Adding 0 turns -0 into 0.
        scores = _score(metric, far[chosen]).astype(np.float32) + np.float32(0)
        limit = None if threshold is None else np.float32(threshold)
    if limit is not None:
        kept = scores <= limit if metric == "euclidean" else scores >= limit
        chosen, scores = chosen[kept], scores[kept]
    return Ranking(chosen[:top_k], scores[:top_k], metric)


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


def cosines(queries: ArrayLike, candidates: ArrayLike) -> NDArray[np.float64]:
    """As `rank` scores them: of the rows of two (n, d) arrays of finite numbers, or of (d,) and each row of (n, d)."""
    return 1 - _exact_cosine(np.asarray(queries, np.float64), np.asarray(candidates, np.float64))


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


# What follows speaks of `far`, float64 (n,), by which candidates are ordered, nearest first: 1 - cosine, the negative
# dot product, or the distance. `error`, (n,), bounds how much of it float32 may have made up.


def _score(metric: SimilarityMetric, far: Distances) -> Distances:
    score: Distances = {"cosine": 1 - far, "dot": -far, "euclidean": far}[metric]
    return score.clip(-_FLOAT32_MAX, _FLOAT32_MAX)


def _untrusted(far: Distances, candidates: Vector) -> NDArray[np.int64]:
    """Rows for which float32 gave up.

    Raises:
        InvalidRequest: One of them has a number that is not finite.
    """
    untrusted = np.flatnonzero(~np.isfinite(far))
    bad = untrusted[~np.isfinite(candidates[untrusted]).all(axis=1)]
    if bad.size:
        param = f"candidates.{bad[0]}"
        raise InvalidRequest(f"`{param}` has a number that is not finite in float32.", param)
    return untrusted


def _contenders(far: Distances, error: Distances, top_k: int | None) -> NDArray[np.int64]:
    """Rows that may be among the `top_k` nearest, in order of index."""
    if top_k is None or top_k >= len(far):
        return np.arange(len(far))
    if top_k == 0:
        return np.empty(0, np.int64)
    return np.flatnonzero(far - error <= np.partition(far + error, top_k - 1)[top_k - 1])


def _unsettled(metric: SimilarityMetric, far: Distances, error: Distances) -> NDArray[np.bool_]:
    """Which have a neighbour that `error` could change places with; cosines of 1 and -1 are to be exact besides."""
    order = np.argsort(far)
    near = np.diff(far[order]) < error[order][1:] + error[order][:-1]
    unsettled = np.abs(1 - far) >= 1 - error if metric == "cosine" else np.zeros(len(far), np.bool_)
    unsettled[order[1:][near]] = unsettled[order[:-1][near]] = True
    return unsettled


def _rough(metric: SimilarityMetric, query: Vector, candidates: Vector, wide: bool) -> tuple[Distances, Distances]:
    """All in float32, NaN where that could not be trusted, or all in float64, in pieces whose copies stay small."""
    if not wide:
        far, odd = _FAR[metric](query, candidates)
        far[odd] = np.nan
    else:
        far = np.empty(len(candidates))
        wide_query = query.astype(np.float64)
        step = max(1, 4 * _BLOCK_BYTES // max(1, 8 * query.size))
        scratch = np.empty((min(step, len(candidates)), query.size))
        for start in range(0, len(candidates), step):
            block = scratch[: len(candidates[start : start + step])]
            np.copyto(block, candidates[start : start + step])
            far[start : start + step] = _FAR[metric](wide_query, block)[0]
    scale: NDArray[np.float64] | float = 1.0
    if metric == "euclidean":
        scale = np.nan_to_num(far)
    elif metric == "dot":
        most = max(-float(candidates.min(initial=0)), float(candidates.max(initial=0)))
        scale = most * float(np.abs(query).sum(dtype=np.float64))
    return far, np.broadcast_to((_WIDE_ERROR if wide else _ERROR) * scale, far.shape)


def _far_cosine(query: Rows, candidates: Rows) -> tuple[Distances, NDArray[np.bool_]]:
    squares = np.vecdot(candidates, candidates)
    cosines = np.vecdot(candidates, query / _norms(query)[0]) / np.sqrt(squares)
    return 1 - cosines.astype(np.float64), _odd(squares) | _odd(np.vecdot(query, query))


def _far_dot(query: Rows, candidates: Rows) -> tuple[Distances, NDArray[np.bool_]]:
    products = np.vecdot(candidates, query)
    return -products.astype(np.float64), _odd(np.abs(products))


def _far_euclidean(query: Rows, candidates: Rows) -> tuple[Distances, NDArray[np.bool_]]:
    # |a|² + |b|² - 2ab would be one pass less and wrong for near neighbours, which are the answer.
    squares = np.empty(len(candidates), query.dtype)
    step = max(1, _BLOCK_BYTES // max(1, 4 * query.size))
    scratch = np.empty((min(step, len(candidates)), query.size), query.dtype)
    for start in range(0, len(candidates), step):
        block = candidates[start : start + step]
        difference = np.subtract(block, query, out=scratch[: len(block)])
        np.vecdot(difference, difference, out=squares[start : start + step])
    return np.sqrt(squares, dtype=np.float64), _odd(squares)


def _odd(sums: Rows) -> NDArray[np.bool_]:
    """Sums of products (as magnitudes) that float32 could not be trusted with; NaN is one of them."""
    return ~((sums >= _SUM_MIN) & (sums <= _SUM_MAX))


def _refine(
    metric: SimilarityMetric, query: Vector, candidates: Vector, far: Distances, rows: NDArray[np.int64]
) -> None:
    """`far` of these rows in float64, in pieces whose copies stay small."""
    wide_query = query.astype(np.float64)
    step = max(1, _BLOCK_BYTES // max(1, 8 * query.size))
    for start in range(0, len(rows), step):
        block = rows[start : start + step]
        far[block] = _EXACT[metric](wide_query, candidates[block].astype(np.float64))


def _exact_cosine(query: NDArray[np.float64], candidates: NDArray[np.float64]) -> Distances:
    # Half the square of the distance between the unit vectors: 1 - cosine without its cancellation.
    difference = candidates / _norms(candidates) - query / _norms(query)
    far: Distances = np.vecdot(difference, difference) / 2
    far[~(candidates.any(axis=-1) & query.any(axis=-1))] = 1
    # Candidates of one direction tie whatever their lengths are: what rounding left of zero is zero, and digits beyond
    # the twelfth are noise.
    far[far < _NOTHING] = 0
    mantissa, exponent = np.frexp(far)
    rounded: Distances = np.ldexp(np.round(mantissa * 2.0**40), exponent - 40)
    return rounded.clip(0, 2)


def _exact_dot(query: NDArray[np.float64], candidates: NDArray[np.float64]) -> Distances:
    far: Distances = -np.vecdot(candidates, query)
    return far.clip(-_FLOAT32_MAX, _FLOAT32_MAX)


def _exact_euclidean(query: NDArray[np.float64], candidates: NDArray[np.float64]) -> Distances:
    difference = candidates - query
    far: Distances = np.sqrt(np.vecdot(difference, difference))
    return far.clip(0, _FLOAT32_MAX)


def _norms(rows: Rows) -> Rows:
    """(..., 1); of a zero row 1."""
    norms: Rows = np.sqrt(np.vecdot(rows, rows))[..., None]
    norms[norms == 0] = 1
    return norms


_FAR = {"cosine": _far_cosine, "euclidean": _far_euclidean, "dot": _far_dot}
_EXACT = {"cosine": _exact_cosine, "euclidean": _exact_euclidean, "dot": _exact_dot}
