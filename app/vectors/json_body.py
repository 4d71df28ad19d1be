"""A `/similarity` body becomes numpy arrays, or an error that names the field. No ranking here.

The body holds up to millions of numbers, so the vectors go from orjson straight into numpy; pydantic checks the
few options beside them.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import ValidationError

from app.config.args import Limits
from app.errors import InvalidRequest, SpaceMismatch
from app.schemas import SimilarityRequest, SpacedOptions
from app.schemas.validation import as_invalid_request, json_object
from app.types import Vector


@dataclass(frozen=True, slots=True)
class SimilarityQuery:
    query: Vector
    candidates: Vector
    options: SpacedOptions


def parse(body: bytes, limits: Limits) -> SimilarityQuery:
    """JSON bytes -> (d,) query, (n, d) candidates and options.

    Raises:
        SpaceMismatch: Query and candidates are declared to be of different spaces.
        InvalidRequest: Not JSON, a field missing or of the wrong type, ragged or differing dimensions.
    """
    data = json_object(body, "`query` and `candidates`")
    numbers = {name: data.pop(name, None) for name in ("query", "candidates")}
    try:
        options = SpacedOptions.model_validate(data)
    except ValidationError as error:
        raise as_invalid_request(error, SimilarityRequest) from None
    exact = b"true" in body or b"false" in body  # numpy would take booleans for numbers
    query = _query(numbers["query"], exact)
    candidates = _candidates(numbers["candidates"], len(query), limits, exact)
    spaces = {space for space in (options.query_space, options.candidate_space) if space is not None}
    if len(spaces) > 1:
        raise SpaceMismatch(
            f"`query` is of {options.query_space!r} and `candidates` are of {options.candidate_space!r}: "
            "vectors of different models don't compare.",
            "candidateSpace",
        )
    return SimilarityQuery(query, candidates, options)


def vector_of(value: list[Any], param: str) -> Vector:
    """A list as it came -> (d,) float32. Raises InvalidRequest, naming `param`."""
    return _vector(value, param, exact=True)


def _query(value: Any, exact: bool) -> Vector:
    if value is None:
        raise InvalidRequest("`query` is missing: a vector, as a list of numbers.", "query")
    if not isinstance(value, list) or not value:
        raise InvalidRequest("`query` must be a list of at least one number.", "query")
    return _vector(value, "query", exact)


def _vector(value: list[Any], param: str, exact: bool) -> Vector:
    row = _array(value)
    if row is None or row.ndim != 1 or (exact and any(isinstance(x, bool) for x in value)):
        raise InvalidRequest(f"`{param}` must be a list of numbers.", param)
    return _finite(row, param)


def _candidates(value: Any, dimensions: int, limits: Limits, exact: bool) -> Vector:
    if value is None:
        raise InvalidRequest("`candidates` is missing: a list of vectors.", "candidates")
    if not isinstance(value, list):
        raise InvalidRequest("`candidates` must be a list of vectors, each a list of numbers.", "candidates")
    if len(value) * dimensions > limits.vector_elements:
        raise InvalidRequest(
            f"`candidates` holds {len(value)} × {dimensions} numbers; at most {limits.vector_elements:,} are allowed.",
            "candidates",
        )
    if not value:
        return np.empty((0, dimensions), np.float32)
    table = None if exact else _array(value)
    if table is None or table.ndim != 2 or table.shape[1] != dimensions:
        return _by_row(value, dimensions)
    return _finite(table, "candidates")


def _by_row(value: list[Any], dimensions: int) -> Vector:
    """The slow, exact way: finds which candidate is wrong, or that none is."""
    rows = []
    for i, row in enumerate(value):
        param = f"candidates.{i}"
        if not isinstance(row, list):
            raise InvalidRequest(f"`{param}` must be a list of numbers.", param)
        vector = _vector(row, param, exact=True)
        if len(vector) != dimensions:
            raise InvalidRequest(
                f"`{param}` has {len(vector)} numbers and `query` has {dimensions}: they must be equal.",
                param,
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
        where = ".".join([param, *(str(i) for i in np.argwhere(bad)[0])])
        raise InvalidRequest(f"`{where}` does not fit a 32-bit float.", where)
    return array
