"""Writes a corpus as one matrix: `x.npy`, with the ids of its rows in `x.ids.jsonl`.

The parts stay beside it in `_x.parts`, so that a second run can reuse them. Without them everything is embedded again.
"""

import tempfile
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import orjson
import pyarrow.parquet as pq
from numpy.lib import format as npy

from app.corpus.filesystem import Place
from app.corpus.known_vectors import matrix
from app.corpus.parts import Manifest
from app.corpus.source import VECTORS
from app.errors import InvalidRequest


def is_npy(destination: str) -> bool:
    return destination.endswith(".npy")


def parts_folder(destination: str) -> str:
    """The folder with the parts of a destination: the destination itself, unless it is a `.npy` file."""
    if not is_npy(destination):
        return destination
    head, slash, name = destination.rpartition("/")
    return f"{head}{slash}_{name[:-4]}.parts"


def write(place: Place, folder: Place, manifest: Manifest, id_column: str | None) -> int:
    """Write vectors and ids, each atomically; return the number of bytes.

    Args:
        id_column: The column with the ids; None: an image's path, or the row's index.
    """
    parent = Place(place.filesystem, str(PurePosixPath(place.path).parent))
    base = place.name.removesuffix(".npy")
    with tempfile.TemporaryFile() as scratch:
        write_matrix(scratch, folder, manifest)
        size = scratch.tell()
        scratch.seek(0)
        stream_to(place, scratch)
    ids: list[bytes] = []
    for name, rows in manifest.parts:
        column = id_column or ("path" if manifest.kind == "image" else None)
        values: list[Any] = list(range(len(ids), len(ids) + rows))
        if column is not None:
            with (folder / name).open() as file:
                if column not in pq.read_schema(file).names:
                    raise InvalidRequest(f"There is no column {column!r} for the ids.")
                values = pq.read_table(file, columns=[column])[column].to_pylist()
        ids.extend(orjson.dumps(value, default=str) + b"\n" for value in values)
    data = b"".join(ids)
    (parent / f"{base}.ids.jsonl").write(data)
    return size + len(data)


def write_matrix(file: Any, folder: Place, manifest: Manifest) -> None:
    """Write the vectors of all parts, with one part in memory at a time."""
    shape = (manifest.rows, manifest.dimensions)
    header = {"descr": npy.dtype_to_descr(np.dtype(manifest.dtype)), "fortran_order": False, "shape": shape}
    npy.write_array_header_2_0(file, header)
    for name, rows in manifest.parts:
        if rows:
            with (folder / name).open() as part:
                vectors = matrix(pq.read_table(part, columns=[VECTORS]))
            file.write(np.ascontiguousarray(vectors, manifest.dtype).tobytes())


def stream_to(place: Place, source: Any) -> None:
    parent = Place(place.filesystem, str(PurePosixPath(place.path).parent))
    scratch = parent / f"_tmp-{place.name}"
    with place.filesystem.open_output_stream(scratch.path) as out:
        while block := source.read(1 << 22):
            out.write(block)
    place.filesystem.move(scratch.path, place.path)


def local_matrix(path: Path) -> Any:
    """Memory-mapped, read-only."""
    return np.load(path, mmap_mode="r")
