"""Vector files: Parquet and JSON lines hold rows with their vectors, `.npy` holds vectors only."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.lib import format as npy
from numpy.typing import NDArray

from app.corpus.contents import check_parquet
from app.corpus.filesystem import locate, reading
from app.corpus.known_vectors import matrix, with_vectors
from app.corpus.schema import as_json_type, python_rows
from app.corpus.source import VECTORS
from app.errors import InvalidRequest
from app.system.atomic_file import replacing
from app.types import Vector

MODEL, SPACE = "embedding_model", "embedding_space"
_ROWS = 4096


@dataclass(slots=True)
class VectorFile(ABC):
    """A file to write. Formats without metadata ignore `metadata`."""

    file: IO[bytes]

    @abstractmethod
    def write(self, rows: Any, vectors: NDArray[Any], metadata: dict[str, str]) -> None:
        """Append a `pyarrow.Table` of n rows and their vectors (n, d)."""

    def finish(self) -> None:  # noqa: B027 - most have nothing to add
        """Write what comes last."""


class ParquetFile(VectorFile):
    """The columns of the rows and `embedding`; the metadata is the schema's."""

    _writer: Any = None

    def write(self, rows: Any, vectors: NDArray[Any], metadata: dict[str, str]) -> None:
        table = with_vectors(rows, vectors).replace_schema_metadata(metadata)
        if self._writer is None:
            # As in `parts.write_part`.
            others = rows.column_names
            self._writer = pq.ParquetWriter(self.file, table.schema, compression="zstd", use_dictionary=others)
        if not self._writer.schema.equals(table.schema):
            raise InvalidRequest("The files of the folder have different columns; embed one at a time.")
        self._writer.write_table(table)

    def finish(self) -> None:
        if self._writer is not None:
            self._writer.close()


class JsonLines(VectorFile):
    """One object per row: its fields and `embedding`."""

    def write(self, rows: Any, vectors: NDArray[Any], metadata: dict[str, str]) -> None:
        for row, vector in zip(python_rows(rows), vectors, strict=True):
            line = orjson.dumps(row | {VECTORS: vector}, default=as_json_type, option=orjson.OPT_SERIALIZE_NUMPY)
            self.file.write(line + b"\n")


class Matrix(VectorFile):
    """The vectors only, in the order of the rows."""

    _rows = 0
    _row_type: tuple[Any, int] | None = None

    def write(self, rows: Any, vectors: NDArray[Any], metadata: dict[str, str]) -> None:
        if self._row_type is None:
            self._row_type = (vectors.dtype, vectors.shape[1])
            self._write_header()
        self._rows += len(vectors)
        self.file.write(np.ascontiguousarray(vectors).tobytes())

    def finish(self) -> None:
        # NumPy pads the header, so that the number of rows can be updated in place.
        self.file.seek(0)
        self._write_header()

    def _write_header(self) -> None:
        if self._row_type is not None:
            dtype, columns = self._row_type
            header = {"descr": npy.dtype_to_descr(dtype), "fortran_order": False, "shape": (self._rows, columns)}
            npy.write_array_header_1_0(self.file, header)


FORMATS: dict[str, type[VectorFile]] = {".parquet": ParquetFile, ".jsonl": JsonLines, ".npy": Matrix}


@contextmanager
def create_vector_file(path: Path) -> Iterator[VectorFile]:
    """Raises InvalidRequest if the suffix is not one of `FORMATS`, or the folder does not exist."""
    kind = FORMATS.get(path.suffix.lower())
    if kind is None:
        raise InvalidRequest(f"--out must end in {', '.join(FORMATS)}, not {path.name!r}.")
    if not path.parent.is_dir():
        raise InvalidRequest(f"There is no folder {path.parent} to write to.")
    with replacing(path) as scratch, scratch.open("wb") as file:
        target = kind(file)
        try:
            yield target
        finally:
            # Also on failure: an open Parquet writer would write when it is garbage-collected.
            target.finish()


@dataclass(frozen=True, slots=True)
class EmbeddedFile:
    """A Parquet file that `embed` wrote."""

    path: Path
    rows: int
    model: str
    space: str

    def parts(self) -> Iterator[tuple[Any, Vector]]:
        """A table of the other columns and (n, d) float32, some thousand rows at a time, in order."""
        with reading(locate(str(self.path))), pq.ParquetFile(self.path, page_checksum_verification=True) as file:
            for batch in file.iter_batches(_ROWS):
                table = pa.Table.from_batches([batch])
                yield table.drop_columns([VECTORS]), matrix(table)


def open_embedded_file(name: str) -> EmbeddedFile | None:
    """None if `embed` did not write this file. Raises InvalidRequest if its vectors are not the model's own float32."""
    path = Path(name).expanduser()
    if not path.is_file() or path.suffix.lower() not in (".parquet", ".pq"):
        return None
    place = locate(name)
    with reading(place), place.open() as file:
        check_parquet(place, file)
        with pq.ParquetFile(file) as parquet:
            schema, rows = parquet.schema_arrow, parquet.metadata.num_rows
    metadata = schema.metadata or {}
    if VECTORS not in schema.names or not {MODEL.encode(), SPACE.encode()} <= set(metadata):
        return None
    kind = schema.field(VECTORS).type
    held = kind.value_type if pa.types.is_fixed_size_list(kind) else kind
    if held != pa.float32():
        raise InvalidRequest(f"{name} holds {held} vectors; search needs float32, as `embed` writes them.")
    return EmbeddedFile(path, rows, metadata[MODEL.encode()].decode(), metadata[SPACE.encode()].decode())
