"""What differs in size, as bytes. A sparse vector: the indices of what is not zero, ascending, as uint32, then their
values as float32. The vectors of a text's tokens: one after the other, as float32."""

from collections.abc import Sequence
from itertools import cycle

import numpy as np
from numpy.typing import NDArray

from app.types import Vector
from app.vectors.similarity import normalize


def pack_sparse(row: Vector, most: int = 0) -> bytes:
    """Of a whole vector, of which only the `most` largest numbers are kept, by their size; 0: all."""
    indices = np.flatnonzero(row)
    if 0 < most < len(indices):
        indices = np.sort(indices[np.argsort(-np.abs(row[indices]), kind="stable")[:most]])
    return indices.astype(np.uint32).tobytes() + row[indices].astype(np.float32).tobytes()


def unpack_sparse(packed: bytes) -> tuple[NDArray[np.uint32], Vector]:
    """The indices and the values."""
    half = len(packed) // 2
    return np.frombuffer(packed[:half], np.uint32), np.frombuffer(packed[half:], np.float32)


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
