"""One file of vectors with their rows: Parquet, JSON lines, or a `.npy` of vectors alone. It is there whole or not.

What is written goes to a file beside it, which takes the name at the end and is removed if there is none.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.lib import format as npy
from numpy.typing import NDArray

from app.corpus.source import VECTORS
from app.errors import InvalidRequest
from app.system.atomic_file import replacing


class VectorFile(ABC):
    """`about`: of the vectors, for formats that have a place for it."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file

    @abstractmethod
    def write(self, rows: Any, vectors: NDArray[Any], about: dict[str, str]) -> None:
        """A `pyarrow.Table` of n rows, and (n, d)."""

    @abstractmethod
    def finish(self) -> None: ...


class ParquetFile(VectorFile):
    """The rows' columns and `embedding`; what is known of the vectors in the schema's metadata."""

    _writer: Any = None

    def write(self, rows: Any, vectors: NDArray[Any], about: dict[str, str]) -> None:
        column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), vectors.shape[1])
        table = rows.append_column(VECTORS, column).replace_schema_metadata(about)
        if self._writer is None:
            others = list(rows.column_names)
            # Vectors don't compress; a dictionary of them would only cost time.
            self._writer = pq.ParquetWriter(self.file, table.schema, compression="zstd", use_dictionary=others)
        if not self._writer.schema.equals(table.schema):
            raise InvalidRequest("The files of the folder have different columns; embed one at a time.")
        self._writer.write_table(table)

    def finish(self) -> None:
        if self._writer is not None:
            self._writer.close()


class JsonLines(VectorFile):
    """The rows' fields and `embedding`."""

    def write(self, rows: Any, vectors: NDArray[Any], about: dict[str, str]) -> None:
        for row, vector in zip(rows.to_pylist(), vectors, strict=True):
            line = orjson.dumps(row | {VECTORS: vector}, default=str, option=orjson.OPT_SERIALIZE_NUMPY)
            self.file.write(line + b"\n")

    def finish(self) -> None:
        pass


class Matrix(VectorFile):
    """Vectors alone, in the order of the rows."""

    _rows = 0
    _form: tuple[Any, int] | None = None

    def write(self, rows: Any, vectors: NDArray[Any], about: dict[str, str]) -> None:
        if self._form is None:
            self._form = (vectors.dtype, vectors.shape[1])
            self._header()
        self._rows += len(vectors)
        self.file.write(np.ascontiguousarray(vectors).tobytes())

    def finish(self) -> None:
        # NumPy leaves room in the header for the number of rows to grow.
        self.file.seek(0)
        self._header()

    def _header(self) -> None:
        if self._form is not None:
            dtype, columns = self._form
            about = {"descr": npy.dtype_to_descr(dtype), "fortran_order": False, "shape": (self._rows, columns)}
            npy.write_array_header_1_0(self.file, about)


FORMATS: dict[str, type[VectorFile]] = {".parquet": ParquetFile, ".jsonl": JsonLines, ".npy": Matrix}


@contextmanager
def written(path: Path) -> Iterator[VectorFile]:
    """Raises InvalidRequest: the ending is none of `FORMATS`, or there is no such folder."""
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
            # Also where it is in vain: a Parquet writer that is left open writes when it is collected.
            target.finish()
