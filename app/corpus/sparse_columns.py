"""Sparse vectors as two list columns of a table: `indices`, ascending, and their `values`."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from app.types import Rows, Vector
from app.vectors.ragged import pack_pairs, unpack_sparse

NAMES = ("indices", "values")
_TYPES = (np.int32, np.float32)


def with_sparse(table: Any, rows: Rows) -> Any:
    """The table with n packed vectors as its last two columns."""
    pairs = [unpack_sparse(row) for row in rows]
    offsets = pa.array(np.cumsum([0, *(len(indices) for indices, _ in pairs)]), pa.int32())
    for place, (name, type_) in enumerate(zip(NAMES, _TYPES, strict=True)):
        flat = np.concatenate([np.empty(0, type_), *(pair[place] for pair in pairs)]).astype(type_)
        table = table.append_column(name, pa.ListArray.from_arrays(offsets, pa.array(flat)))
    return table


def packed(table: Any) -> Rows:
    """The vectors of a table, each packed."""
    indices, values, ends = _flat(table)
    out = np.full(len(table), b"", object)
    for place, (start, end) in enumerate(pairwise([0, *ends])):
        out[place] = pack_pairs(indices[start:end], values[start:end])
    return out


def dot(table: Any, query: Vector) -> Vector:
    """The dot product of each row with a whole vector."""
    indices, values, ends = _flat(table)
    scores = np.zeros(len(table), np.float32)
    starts = np.concatenate([[0], ends])[:-1]
    # `reduceat` would take the next number for the sum of none.
    full = starts < ends
    if full.any():
        scores[full] = np.add.reduceat(values * query[indices], starts[full], dtype=np.float64)
    return scores


def _flat(table: Any) -> Sequence[Any]:
    """Indices and values of all rows, and where each row's end."""
    indices, values = (table[name].combine_chunks() for name in NAMES)
    return indices.flatten().to_numpy(), values.flatten().to_numpy(), np.cumsum(indices.value_lengths().to_numpy())
