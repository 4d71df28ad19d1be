"""Ranks the rows of a binary `/similarity` body, which becomes a numpy matrix without a copy: the query's row, then
the candidates'. `app.vectors.similarity` checks that they are finite, because it reads all of them anyway."""

import math
import re
import tokenize
from dataclasses import replace
from io import BytesIO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from app.config.args import Limits
from app.errors import InvalidRequest
from app.schemas.similarity import MatrixOptions
from app.types import Vector
from app.vectors.similarity import Ranking, rank

SHAPE = "x-embedding-shape"
HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
MAX_HEADER = 4096  # bytes; longer than any header of a plain matrix


def parse_shape(header: str | None) -> tuple[int, int]:
    """The shape in the `x-embedding-shape` header. Raises InvalidRequest."""
    if header is None:
        message = f"The header `{SHAPE}` is missing: send the matrix's rows and columns, query included, e.g. 101,384."
        raise InvalidRequest(message, SHAPE)
    match = re.fullmatch(r"\s*([0-9]{1,12})\s*,\s*([0-9]{1,12})\s*", header)
    if match is None:
        raise InvalidRequest(f"`{SHAPE}` must be two whole numbers, e.g. 101,384, not {header[:40]!r}.", SHAPE)
    return int(match[1]), int(match[2])


def rank_matrix(
    body: NDArray[np.uint8], shape: tuple[int, int] | None, options: MatrixOptions, limits: Limits
) -> Ranking:
    """Rank a body. Raises as `matrix` does."""
    rows = matrix(body, shape, limits)
    return replace(rank(rows[0], rows[1:], options.metric, options.top_k, options.threshold), space=options.space)


def matrix(body: NDArray[np.uint8], shape: tuple[int, int] | None, limits: Limits) -> Vector:
    """(1 + n, d) float32. `shape`: of plain little-endian float32; None if the body is a NumPy file. Raises
    InvalidRequest if the body is not a NumPy file, or its shape, length and type do not match."""
    if shape is None:
        return _npy_matrix(body, limits)
    _check_shape(shape, SHAPE, limits)
    needed = 4 * shape[0] * shape[1]
    if len(body) != needed:
        message = f"The body has {len(body):,} bytes, but {shape[0]:,} × {shape[1]:,} float32 numbers have {needed:,}."
        raise InvalidRequest(f"{message} Correct the body or `{SHAPE}`.", SHAPE)
    return np.asarray(np.frombuffer(body, "<f4"), np.float32).reshape(shape)


def _npy_matrix(body: NDArray[np.uint8], limits: Limits) -> Vector:
    head = BytesIO(bytes(body[: MAX_HEADER + 16]))
    try:
        version = npy.read_magic(head)
        if version not in HEADERS:
            raise InvalidRequest(f"NumPy file format {version[0]}.{version[1]} is not supported; send 1.0 or 2.0.")
        shape, by_column, dtype = HEADERS[version](head, max_header_size=MAX_HEADER)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError, tokenize.TokenError, Warning) as error:
        raise InvalidRequest(f"The body is not a NumPy file: {str(error)[:200]}.") from None
    if dtype.kind != "f" or dtype.itemsize not in (4, 8):
        raise InvalidRequest(f"The NumPy file holds {str(dtype)[:40]}; send float32 or float64.")
    if len(shape) != 2:
        raise InvalidRequest(f"The NumPy file has {len(shape)} dimensions; send a matrix, the query's row first.")
    _check_shape(shape, None, limits)
    needed = head.tell() + math.prod(shape) * dtype.itemsize
    if len(body) != needed:
        raise InvalidRequest(f"The NumPy file has {len(body):,} bytes, but its header says {needed:,}.")
    numbers = np.frombuffer(body, dtype, offset=head.tell())
    with np.errstate(over="ignore"):  # values beyond float32 become infinite, which `similarity` rejects
        rows = numbers.reshape(shape, order="F" if by_column else "C")
        return np.require(rows, np.float32, ["C", "A"])


def _check_shape(shape: tuple[int, ...], param: str | None, limits: Limits) -> None:
    rows, columns = shape
    if rows < 1 or columns < 1:
        raise InvalidRequest(f"A matrix of {rows} × {columns} has no query; its first row must be the query.", param)
    if (rows - 1) * columns > limits.vector_elements:
        numbers = f"{rows - 1:,} × {columns:,} numbers"
        raise InvalidRequest(f"The candidates have {numbers}; the limit is {limits.vector_elements:,}.", param)
