"""Quantizes float vectors as `sentence_transformers.quantize_embeddings` does, for API responses and corpora. The range
of int8 and uint8 depends on the number of dimensions alone, so that equal texts always get equal bytes. Numbers outside
the range are clipped."""

import math
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from app.errors import InvalidRequest
from app.types import OutputType, Vector
from app.vectors.similarity import normalize

Dtype = Literal["float32", "float16", "int8"]
"""The number types of a written corpus."""
# The components of a vector of length 1 average 1/sqrt(d); hardly any is five times that.
SPREAD = 5.0


def bound(dimensions: int) -> np.float32:
    """The levels of int8 and uint8 range from minus this value to this value."""
    return np.float32(min(1.0, SPREAD / math.sqrt(dimensions)))


def stated_range(dimensions: int, output: OutputType | Dtype) -> list[float] | None:
    """The range of the levels as a response or a corpus states it; None for other types."""
    limit = float(bound(dimensions))
    return [-limit, limit] if output in ("int8", "uint8") else None


def quantize(rows: Vector, output: OutputType, param: str = "outputType") -> NDArray[Any]:
    """(n, d) rows of length 1 -> (n, d) float32, int8 or uint8, or (n, d / 8) int8 or uint8. Raises InvalidRequest if
    the type is binary or ubinary, and d is not a multiple of 8."""
    if output == "float32":
        return rows
    if output in ("int8", "uint8"):
        limit = bound(rows.shape[1])
        step = (limit - -limit) / np.float32(255)
        levels: Vector = np.clip(np.floor((rows - -limit) / step), 0, 255)
        return levels.astype(np.uint8) if output == "uint8" else (levels - 128).astype(np.int8)
    if rows.shape[1] % 8:
        raise InvalidRequest(f"{output} needs a multiple of 8 dimensions, not {rows.shape[1]}.", param)
    packed: NDArray[np.uint8] = np.packbits(rows > 0, axis=1)
    return packed if output == "ubinary" else (packed.astype(np.int16) - 128).astype(np.int8)


def corpus_vectors(rows: Vector, dtype: Dtype, dimensions: int, *, normalized: bool) -> Any:
    """The model's finite (n, d) output -> (n, dimensions) rows of length 1, as a corpus stores them. Only the leading
    `dimensions` are kept, for Matryoshka models; `normalized`: the model's rows have length 1."""
    if dimensions < rows.shape[1]:
        rows, normalized = rows[:, :dimensions], False
    unit = rows if normalized else normalize(rows)
    if dtype == "int8":
        return quantize(unit, "int8")
    return np.ascontiguousarray(unit, np.float32 if dtype == "float32" else np.float16)
