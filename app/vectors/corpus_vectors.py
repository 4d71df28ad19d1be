"""The form in which vectors are written: shortened, of length 1, as float32, float16 or int8. Pure numpy."""

from typing import Any, Literal

import numpy as np

from app.types import Vector
from app.vectors.similarity import normalize

Dtype = Literal["float32", "float16", "int8"]
INT8_SCALE = 127  # int8 vectors are unit vectors times this


def finished(rows: Vector, dtype: Dtype, dimensions: int, *, normalized: bool) -> Any:
    """The model's own (n, d) output -> (n, dimensions), as the service answers it.

    Args:
        dimensions: The first so many; for models made for it (Matryoshka).
        normalized: The model's rows have length 1 already.
    """
    if dimensions < rows.shape[1]:
        rows, normalized = rows[:, :dimensions], False
    unit = rows if normalized else normalize(rows)
    if dtype == "int8":
        return np.clip(np.rint(unit * INT8_SCALE), -INT8_SCALE, INT8_SCALE).astype(np.int8)
    return np.ascontiguousarray(unit, np.float32 if dtype == "float32" else np.float16)
