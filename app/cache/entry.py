"""The cached form of an embedding: 8 bytes of header, then the model's own float32 output.

The header holds the item's token count and whether it was truncated, so that a hit answers exactly what the
miss answered. Rows of one model have one length, so many entries are one matrix: nothing here loops over rows.
"""

import sys
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from app.errors import ServiceError
from app.types import Vector

HEADER_FLOATS = 2  # token count and flags, as uint32 each: two float32 places


def pack(rows: Vector, tokens: Sequence[int], truncated: Sequence[bool]) -> bytes:
    """(n, d) rows and their counts -> n entries of 8 + 4 d bytes, end to end."""
    n, d = rows.shape
    packed = np.empty((n, d + HEADER_FLOATS), np.float32)
    header = packed[:, :HEADER_FLOATS].view(np.uint32)
    header[:, 0] = tokens
    header[:, 1] = truncated
    packed[:, HEADER_FLOATS:] = rows
    return packed.tobytes()


def split(packed: bytes, count: int) -> list[bytes]:
    """Entries laid end to end -> one bytes object each."""
    size = len(packed) // count if count else 0
    return [packed[i * size : (i + 1) * size] for i in range(count)]


def unpack(entries: Sequence[bytes]) -> tuple[Vector, NDArray[np.uint32], NDArray[np.bool_]]:
    """Entries of one model -> (n, d) rows, (n,) token counts, (n,) truncated flags."""
    table = np.frombuffer(b"".join(entries), np.float32).reshape(len(entries), -1)
    header = table[:, :HEADER_FLOATS].view(np.uint32)
    return np.ascontiguousarray(table[:, HEADER_FLOATS:]), header[:, 0], header[:, 1].astype(np.bool_)


def truncated_in(entries: Sequence[bytes | ServiceError]) -> int:
    """How many of the items were truncated, without unpacking their vectors."""
    return sum(any(entry[4:8]) for entry in entries if isinstance(entry, bytes))


def tokens_of(entries: Sequence[bytes | ServiceError]) -> int:
    """Tokens of all entries together, without unpacking their vectors."""
    return sum(int.from_bytes(entry[:4], sys.byteorder) for entry in entries if isinstance(entry, bytes))
