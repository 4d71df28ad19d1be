"""The cached form of an embedding: 8 bytes of header, then the model's own float32 output.

The header holds the item's token count and whether it was truncated, so that a hit answers exactly what the
miss answered. Rows of a model of dense vectors have one length, so many entries are one matrix: nothing loops over
rows. What others make of an item is bytes, of any length.
"""

import sys
from collections.abc import Sequence
from itertools import accumulate, pairwise

import numpy as np
from numpy.typing import NDArray

from app.errors import ServiceError
from app.types import Rows, Vector

HEADER_FLOATS = 2  # token count and flags, as uint32 each: two float32 places
HEADER_BYTES = 4 * HEADER_FLOATS


def pack(rows: Rows, tokens: Sequence[int], truncated: Sequence[bool]) -> bytes:
    """Rows and their counts -> n entries, end to end: of 8 + 4 d bytes for (n, d) rows, else see `sizes`."""
    if rows.dtype == object:
        heads = np.array([tokens, truncated], np.uint32).T.copy()
        return b"".join([part for head, row in zip(heads, rows, strict=True) for part in (head.tobytes(), row)])
    n, d = rows.shape
    packed = np.empty((n, d + HEADER_FLOATS), np.float32)
    header = packed[:, :HEADER_FLOATS].view(np.uint32)
    header[:, 0] = tokens
    header[:, 1] = truncated
    packed[:, HEADER_FLOATS:] = rows
    return packed.tobytes()


def sizes(rows: Rows) -> tuple[int, ...]:
    """Of the entries of rows that differ in size; none where all are alike."""
    return tuple(HEADER_BYTES + len(row) for row in rows) if rows.dtype == object else ()


def split(packed: bytes, count: int, sizes: Sequence[int] = ()) -> list[bytes]:
    """Entries laid end to end -> one bytes object each."""
    if sizes:
        return [packed[start:stop] for start, stop in pairwise(accumulate(sizes, initial=0))]
    size = len(packed) // count if count else 0
    return [packed[i * size : (i + 1) * size] for i in range(count)]


def unpack(entries: Sequence[bytes]) -> tuple[Vector, NDArray[np.uint32], NDArray[np.bool_]]:
    """Entries of one model -> (n, d) rows, (n,) token counts, (n,) truncated flags."""
    table = np.frombuffer(b"".join(entries), np.float32).reshape(len(entries), -1)
    header = table[:, :HEADER_FLOATS].view(np.uint32)
    return np.ascontiguousarray(table[:, HEADER_FLOATS:]), header[:, 0], header[:, 1].astype(np.bool_)


def unpack_each(entries: Sequence[bytes]) -> tuple[list[bytes], NDArray[np.uint32], NDArray[np.bool_]]:
    """As `unpack`, of entries whose rows may differ in size: the bytes of each."""
    heads = np.frombuffer(b"".join([entry[:HEADER_BYTES] for entry in entries]), np.uint32).reshape(-1, HEADER_FLOATS)
    return [entry[HEADER_BYTES:] for entry in entries], heads[:, 0], heads[:, 1].astype(np.bool_)


def truncated_in(entries: Sequence[bytes | ServiceError]) -> int:
    """How many of the items were truncated, without unpacking their vectors."""
    return sum(any(entry[4:8]) for entry in entries if isinstance(entry, bytes))


def tokens_of(entries: Sequence[bytes | ServiceError]) -> int:
    """Tokens of all entries together, without unpacking their vectors."""
    return sum(int.from_bytes(entry[:4], sys.byteorder) for entry in entries if isinstance(entry, bytes))
