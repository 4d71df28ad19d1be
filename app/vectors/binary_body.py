"""A binary `/similarity` body becomes a numpy matrix, without a copy, or an error in words. No ranking here.

The matrix is (1 + n, d): the query's row, then the candidates'. That its numbers are finite is
`app.vectors.similarity`'s
to check, which looks at all of them anyway.
"""

import math
import re
import tokenize
from io import BytesIO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from app.config.args import Limits
from app.errors import InvalidRequest
from app.types import Vector

SHAPE = "x-embedding-shape"
HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
# Longer than any header of a plain matrix.
MOST_HEADER = 4096


def shape_of(header: str | None) -> tuple[int, int]:
    """What the header says. Raises InvalidRequest."""
    if header is None:
        words = f"The header `{SHAPE}` is missing: rows and columns of the matrix, e.g. 101,384, the query's row first."
        raise InvalidRequest(words, SHAPE)
    found = re.fullmatch(r"\s*([0-9]{1,12})\s*,\s*([0-9]{1,12})\s*", header)
    if found is None:
        raise InvalidRequest(f"`{SHAPE}` must be two whole numbers, e.g. 101,384, not {header[:40]!r}.", SHAPE)
    return int(found[1]), int(found[2])


def matrix(body: NDArray[np.uint8], shape: tuple[int, int] | None, limits: Limits) -> Vector:
    """(1 + n, d) float32. `shape`: of plain little-endian float32; None where the body is a NumPy file.

    Raises:
        InvalidRequest: The body is no such file, or shape, length and type don't go together.
    """
    if shape is None:
        return _file(body, limits)
    _check_shape(shape, SHAPE, limits)
    needed = 4 * shape[0] * shape[1]
    if len(body) != needed:
        words = f"The body has {len(body):,} bytes, and {shape[0]:,} × {shape[1]:,} float32 numbers have {needed:,}."
        raise InvalidRequest(f"{words} Mend the body or `{SHAPE}`.", SHAPE)
    return np.asarray(np.frombuffer(body, "<f4"), np.float32).reshape(shape)


def _file(body: NDArray[np.uint8], limits: Limits) -> Vector:
    head = BytesIO(bytes(body[: MOST_HEADER + 16]))
    try:
        version = npy.read_magic(head)
        if version not in HEADERS:
            raise InvalidRequest(f"NumPy file format {version[0]}.{version[1]} is not read here; write 1.0 or 2.0.")
        shape, by_column, dtype = HEADERS[version](head, max_header_size=MOST_HEADER)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError, tokenize.TokenError, Warning) as error:
        raise InvalidRequest(f"The body is not a NumPy file: {str(error)[:200]}.") from None
    if dtype.kind != "f" or dtype.itemsize not in (4, 8):
        raise InvalidRequest(f"The NumPy file holds {str(dtype)[:40]}; send float32 or float64.")
    if len(shape) != 2:
        raise InvalidRequest(f"The NumPy file has {len(shape)} dimensions; send a matrix, the query's row first.")
    _check_shape(shape, None, limits)
    needed = head.tell() + math.prod(shape) * dtype.itemsize
    if len(body) != needed:
        words = f"The NumPy file has {len(body):,} bytes, and its header promises {needed:,}."
        raise InvalidRequest(words)
    numbers = np.frombuffer(body, dtype, offset=head.tell())
    with np.errstate(over="ignore"):  # beyond float32 becomes infinite, which is refused
        rows = numbers.reshape(shape, order="F" if by_column else "C")
        return np.require(rows, np.float32, ["C", "A"])


def _check_shape(shape: tuple[int, ...], param: str | None, limits: Limits) -> None:
    rows, columns = shape
    if rows < 1 or columns < 1:
        raise InvalidRequest(f"A matrix of {rows} × {columns} has no query: its first row is the query.", param)
    if (rows - 1) * columns > limits.vector_elements:
        most = f"{limits.vector_elements:,}"
        raise InvalidRequest(f"{rows - 1:,} × {columns:,} numbers of candidates; at most {most} are allowed.", param)
