"""Float vectors as small integers, as `sentence_transformers.quantize_embeddings` makes them.

The range of int8 and uint8 is fixed by the number of dimensions, not by the batch: equal texts get equal bytes
whatever came with them. Numbers beyond the range get its end.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.errors import InvalidRequest
from app.types import OutputType, Vector

# A vector of length 1 has components of 1/sqrt(d) on average; hardly any is five times that.
SPREAD = 5.0


def bound(dimensions: int) -> np.float32:
    """int8 and uint8 have levels from minus this to this."""
    return np.float32(min(1.0, SPREAD / math.sqrt(dimensions)))


def stated_range(dimensions: int, output: OutputType) -> list[float] | None:
    """What an answer says of the levels; None where there are none."""
    limit = float(bound(dimensions))
    return [-limit, limit] if output in ("int8", "uint8") else None


def quantize(rows: Vector, output: OutputType, param: str = "outputType") -> NDArray[Any]:
    """(n, d) rows of length 1 -> (n, d) float32, int8 or uint8, or (n, d / 8) int8 or uint8.

    Raises:
        InvalidRequest: Signs of d numbers don't fill bytes.
    """
    if output == "float32":
        return rows
    if output in ("int8", "uint8"):
        limit = bound(rows.shape[1])
        step = (limit - -limit) / np.float32(255)
        levels: Vector = np.clip(np.floor((rows - -limit) / step), 0, 255)
        return levels.astype(np.uint8) if output == "uint8" else (levels - 128).astype(np.int8)
    if rows.shape[1] % 8:
        raise InvalidRequest(f"{output} needs a number of dimensions that divides by 8, not {rows.shape[1]}.", param)
    packed: NDArray[np.uint8] = np.packbits(rows > 0, axis=1)
    return packed if output == "ubinary" else (packed.astype(np.int16) - 128).astype(np.int8)
