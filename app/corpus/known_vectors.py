"""Finds vectors that an earlier run has written, by their content: an 8-byte hash and a position of 8 bytes for each
row. A hit is compared with the content itself, so a collision costs a read and never returns a wrong vector."""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from app.corpus.filesystem import Place
from app.corpus.source import VECTORS
from app.corpus.sparse_columns import packed, with_sparse
from app.errors import InvalidRequest
from app.vectors.ragged import unpack_sparse


class KnownVectors:
    """An index of the vectors in parts with equal settings. `column`: the text, or the hash of the image file;
    `vectors`: the columns of the vectors."""

    def __init__(self, parts: Sequence[Place], column: str, vectors: Sequence[str] = (VECTORS,)) -> None:
        self._parts = list(parts)
        self._vectors = vectors
        self._column = column
        keys: list[Any] = [np.empty(0, np.uint64)]
        places: list[Any] = [np.empty((0, 2), np.uint32)]
        for number, part in enumerate(self._parts):
            contents = part.read_table([column])[column].to_pylist()
            keys.append(hashes(contents))
            rows = np.arange(len(contents), dtype=np.uint32)
            places.append(np.stack([np.full_like(rows, number), rows], axis=1))
        joined = np.concatenate(keys)
        order = np.argsort(joined, kind="stable")
        self._keys = joined[order]
        self._places = np.concatenate(places)[order]

    def find(self, contents: Sequence[str]) -> dict[int, Any]:
        """Index -> vector, (d,) as written or packed, for the known ones among `contents`."""
        if not len(self._keys) or not contents:
            return {}
        wanted = hashes(contents)
        at = np.minimum(np.searchsorted(self._keys, wanted), len(self._keys) - 1)
        hits = np.flatnonzero(self._keys[at] == wanted)
        found: dict[int, Any] = {}
        places = self._places[at[hits]]
        for number in np.unique(places[:, 0]):
            part = self._parts[int(number)]
            here = places[:, 0] == number
            try:
                table = part.read_table([self._column, *self._vectors])
            except InvalidRequest:
                continue  # another run has deleted the part: embed these again
            known = table[self._column].to_pylist()
            vectors = matrix(table) if VECTORS in self._vectors else packed(table)
            good = finite(vectors)
            for index, row in zip(hits[here], places[here, 1], strict=True):
                if known[row] == contents[index] and good[row]:
                    found[int(index)] = vectors[row]
        return found


def matrix(table: Any) -> Any:
    """The vectors of a table as (n, d)."""
    column = table[VECTORS].combine_chunks()
    return column.flatten().to_numpy(zero_copy_only=False).reshape(len(column), column.type.list_size)


def with_vectors(table: Any, vectors: Any) -> Any:
    """The table with (n, d) vectors as its last column, or with n packed ones."""
    if vectors.dtype == object:
        return with_sparse(table, vectors)
    column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), vectors.shape[1])
    return table.append_column(VECTORS, column)


def finite(vectors: Any) -> Any:
    """(n,) bool: whether each vector, of (n, d) or n packed ones, is finite."""
    if vectors.dtype == object:
        return np.array([np.isfinite(unpack_sparse(row)[1]).all() for row in vectors], np.bool_)
    return np.isfinite(vectors).all(axis=1)


def hashes(contents: Sequence[str]) -> Any:
    """(n,) uint64: 8 bytes of each content's hash."""
    digests = [hashlib.blake2b(content.encode(), digest_size=8).digest() for content in contents]
    return np.frombuffer(b"".join(digests), np.uint64)
