"""What differs in size, as bytes. A sparse vector: the indices of what is not zero, ascending, as uint32, then their
values as float32. The vectors of a text's tokens: one after the other, as float32."""

from collections.abc import Iterable, Sequence
from itertools import cycle
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.types import Vector
from app.vectors.similarity import normalize


def pack_sparse(row: Vector, most: int = 0) -> bytes:
    """Of a whole vector, of which only the `most` largest numbers are kept, by their size; 0: all."""
    indices = np.flatnonzero(row)
    if 0 < most < len(indices):
        indices = np.sort(indices[np.argsort(-np.abs(row[indices]), kind="stable")[:most]])
    return pack_pairs(indices, row[indices])


def pack_pairs(indices: NDArray[Any], values: NDArray[Any]) -> bytes:
    """Of its indices, ascending, and their values."""
    return indices.astype(np.uint32).tobytes() + values.astype(np.float32).tobytes()


def unpack_sparse(packed: bytes) -> tuple[NDArray[np.uint32], Vector]:
    """The indices and the values."""
    half = len(packed) // 2
    return np.frombuffer(packed[:half], np.uint32), np.frombuffer(packed[half:], np.float32)


def matches(query: bytes, rows: Iterable[bytes], dimensions: int) -> list[int]:
    """Indices of the rows whose dot product with the query is not 0, the largest first; ties by index."""
    weights = np.zeros(dimensions, np.float32)
    indices, values = unpack_sparse(query)
    weights[indices] = values
    scores = np.array([weights[indices] @ values for indices, values in map(unpack_sparse, rows)], np.float32)
    return ranked(scores)


def ranked(scores: Vector) -> list[int]:
    """Indices of the scores that are not 0, the largest first; ties by index."""
    order = np.argsort(-scores, kind="stable")
    found: list[int] = order[scores[order] != 0].tolist()
    return found


def unpack_rows(packed: bytes, dimensions: int) -> Vector:
    """The vectors of tokens."""
    return np.frombuffer(packed, np.float32).reshape(-1, dimensions)


def max_sims(queries: Sequence[bytes], texts: Sequence[bytes], dimensions: int) -> Vector:
    """MaxSim of pairs, or of the one query with each text: the sum over the query's tokens of the largest cosine that
    each has with a token of the text."""
    units = [normalize(unpack_rows(query, dimensions)) for query in queries]
    cosines = (
        unit @ normalize(unpack_rows(text, dimensions)).T for unit, text in zip(cycle(units), texts, strict=False)
    )
    return np.array([table.max(axis=1, initial=-1).sum() for table in cosines], np.float32)
