"""Ranks the vectors of a JSON `/similarity` body. It holds up to millions of numbers, so vectors go from orjson
straight into numpy; pydantic validates only the options."""

from dataclasses import replace
from typing import Any

import numpy as np
from pydantic import ValidationError

from app.config.args import Limits
from app.errors import InvalidRequest, SpaceMismatch
from app.schemas.similarity import SimilarityRequest, SpacedOptions
from app.schemas.validation import as_invalid_request, json_object
from app.types import Vector
from app.vectors.similarity import Ranking, rank


def rank_json(body: bytes, limits: Limits) -> Ranking:
    """Rank a body. Raises as `parse` does."""
    query, candidates, options = parse(body, limits)
    ranking = rank(query, candidates, options.metric, options.top_k, options.threshold)
    return replace(ranking, space=options.query_space or options.candidate_space)


def parse(body: bytes, limits: Limits) -> tuple[Vector, Vector, SpacedOptions]:
    """JSON bytes -> (d,) query, (n, d) candidates and options.

    Raises:
        SpaceMismatch: The query and the candidates are declared to be in different spaces.
        InvalidRequest: The body is not JSON, a field is missing or has the wrong type, or dimensions differ.
    """
    data = json_object(body, "`query` and `candidates`")
    numbers = {name: data.pop(name, None) for name in ("query", "candidates")}
    try:
        options = SpacedOptions.model_validate(data)
    except ValidationError as error:
        raise as_invalid_request(error, SimilarityRequest) from None
    exact = b"true" in body or b"false" in body  # numpy would read booleans as numbers
    query = _query(numbers["query"], exact)
    candidates = _candidates(numbers["candidates"], len(query), limits, exact)
    spaces = {space for space in (options.query_space, options.candidate_space) if space is not None}
    if len(spaces) > 1:
        raise SpaceMismatch(
            f"`query` is in space {options.query_space!r} and `candidates` are in {options.candidate_space!r}: "
            "vectors of different models can't be compared.",
            "candidateSpace",
        )
    return query, candidates, options


def _query(value: Any, exact: bool) -> Vector:
    if value is None:
        raise InvalidRequest("`query` is missing: send a vector as a list of numbers.", "query")
    if not isinstance(value, list) or not value:
        raise InvalidRequest("`query` must be a list of at least one number.", "query")
    return vector_of(value, "query", exact)


def vector_of(value: list[Any], param: str, exact: bool = True) -> Vector:
    """A JSON list -> (d,) float32. Raises InvalidRequest naming `param`. `exact`: whether to look for booleans."""
    row = _array(value)
    if row is None or row.ndim != 1 or (exact and any(isinstance(x, bool) for x in value)):
        raise InvalidRequest(f"`{param}` must be a list of numbers.", param)
    return _finite(row, param)


def _candidates(value: Any, dimensions: int, limits: Limits, exact: bool) -> Vector:
    if value is None:
        raise InvalidRequest("`candidates` is missing: send a list of vectors.", "candidates")
    if not isinstance(value, list):
        raise InvalidRequest("`candidates` must be a list of vectors, each a list of numbers.", "candidates")
    if len(value) * dimensions > limits.vector_elements:
        raise InvalidRequest(
            f"`candidates` has {len(value)} × {dimensions} numbers; the limit is {limits.vector_elements:,}.",
            "candidates",
        )
    if not value:
        return np.empty((0, dimensions), np.float32)
    table = None if exact else _array(value)
    if table is None or table.ndim != 2 or table.shape[1] != dimensions:
        return _by_row(value, dimensions)
    return _finite(table, "candidates")


def _by_row(value: list[Any], dimensions: int) -> Vector:
    """Check every candidate separately: slower, but finds the one that is wrong."""
    rows = []
    for i, row in enumerate(value):
        param = f"candidates.{i}"
        if not isinstance(row, list):
            raise InvalidRequest(f"`{param}` must be a list of numbers.", param)
        vector = vector_of(row, param)
        if len(vector) != dimensions:
            raise InvalidRequest(
                f"`{param}` has {len(vector)} numbers, but `query` has {dimensions}: they must be equal.", param
            )
        rows.append(vector)
    return np.stack(rows)


def _array(value: list[Any]) -> Vector | None:
    try:
        array = np.array(value)
    except (ValueError, OverflowError):
        return None
    if array.dtype.kind not in "iuf":
        return None
    with np.errstate(over="ignore"):
        return array.astype(np.float32)


def _finite(array: Vector, param: str) -> Vector:
    bad = ~np.isfinite(array)
    if bad.any():
        element = ".".join([param, *(str(i) for i in np.argwhere(bad)[0])])
        raise InvalidRequest(f"`{element}` does not fit a 32-bit float.", element)
    return array
