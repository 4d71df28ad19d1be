"""Writes a corpus as one matrix: `x.npy`, with its rows' ids in `x.ids.jsonl` and the range of int8 in `x.range.json`.
The parts stay beside it in `_x.parts`: without them a second run embeds everything again."""

from typing import Any

import numpy as np
import orjson
from numpy.lib import format as npy

from app.corpus.chunk_rows import NAMES as CHUNKS
from app.corpus.filesystem import Place
from app.corpus.known_vectors import matrix
from app.corpus.parts import Manifest
from app.corpus.schema import as_json_type, python_rows
from app.corpus.source import VECTORS


def is_npy(destination: str) -> bool:
    return destination.endswith(".npy")


def parts_folder(destination: str) -> str:
    """The folder with the parts of a destination: the destination itself, unless it is a `.npy` file."""
    if not is_npy(destination):
        return destination
    head, slash, name = destination.rpartition("/")
    return f"{head}{slash}_{name[:-4]}.parts"


def write(place: Place, folder: Place, manifest: Manifest, id_column: str | None) -> int:
    """Write vectors and ids, each atomically; return the bytes. No `id_column`: images' paths, or rows' indices.
    Of chunks: parent, number, start and end."""
    with place.writing(place.name) as file:
        write_matrix(file, folder, manifest)
        size: int = file.tell()
    stem = place.name.removesuffix(".npy")
    side_file = place.parent / f"{stem}.range.json"
    if manifest.range is not None:
        facts = {"dtype": manifest.dtype, "dimensions": manifest.dimensions, "range": manifest.range}
        side_file.write(orjson.dumps(facts))
    elif side_file.exists():
        side_file.delete()
    ids: list[bytes] = []
    for name, rows in manifest.parts:
        column = id_column or ("path" if manifest.kind == "image" else None)
        values: list[Any] = list(range(len(ids), len(ids) + rows))
        if manifest.chunks:
            values = (folder / name).read_table(list(CHUNKS)).to_pylist()
        elif column is not None:
            values = [row[column] for row in python_rows((folder / name).read_table([column]))]
        ids.extend(orjson.dumps(value, default=as_json_type) + b"\n" for value in values)
    data = b"".join(ids)
    (place.parent / f"{stem}.ids.jsonl").write(data)
    return size + len(data)


def write_matrix(file: Any, folder: Place, manifest: Manifest) -> None:
    """Write the vectors of all parts, with one part in memory at a time."""
    shape = (manifest.rows, manifest.dimensions)
    header = {"descr": npy.dtype_to_descr(np.dtype(manifest.dtype)), "fortran_order": False, "shape": shape}
    npy.write_array_header_2_0(file, header)
    for name, rows in manifest.parts:
        if rows:
            vectors = matrix((folder / name).read_table([VECTORS]))
            file.write(np.ascontiguousarray(vectors, manifest.dtype).tobytes())
