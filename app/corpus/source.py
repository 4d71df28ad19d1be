"""Plans a run: finds the files to embed, their format and columns, and splits their rows into spans."""

import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from app.corpus import records as line_records
from app.corpus import schema as arrow_schema
from app.corpus.filesystem import Place, locate
from app.errors import InvalidRequest

Format = Literal["parquet", "jsonl", "csv", "text", "image"]
VECTORS = "embedding"
IMAGE_SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".gif", ".bmp"),
    *(".tif", ".tiff", ".avif", ".heic", ".heif"),
)
SUFFIXES: dict[str, Format] = {
    **dict.fromkeys((".parquet", ".pq"), "parquet"),
    **dict.fromkeys((".jsonl", ".ndjson"), "jsonl"),
    ".csv": "csv",
    ".txt": "text",
    **dict.fromkeys(IMAGE_SUFFIXES, "image"),
}
# A large row group is split into at most this many spans: each worker reads and skips the rows before its span.
_MAX_SPANS_PER_GROUP = 16


@dataclass(frozen=True, slots=True)
class RowSpan:
    """Consecutive rows for one worker. `start` and `stop` are bytes of a line format, rows of a Parquet row group."""

    number: int
    file: str
    rows: int
    start: int = 0
    stop: int = 0
    first_row: int = 0
    group: int = 0
    files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Source:
    """A corpus: its format, its spans, and the types of its columns (None: each Parquet file has its own)."""

    uri: str
    format: Format
    column: str
    spans: tuple[RowSpan, ...]
    types: dict[str, Any] | None = None

    @property
    def rows(self) -> int:
        return sum(span.rows for span in self.spans)


def plan(uri: str, column: str, part_rows: int) -> Source:
    """Read through a corpus once, without keeping its rows in memory.

    Args:
        part_rows: Rows per span of a line format or image folder; Parquet spans hold multiples of it.

    Raises:
        InvalidRequest: The path does not exist, formats are mixed or unknown, or there is no such text column.
    """
    root = locate(uri)
    files = _files(root, uri)
    format_ = SUFFIXES[PurePosixPath(files[0].path).suffix.lower()]
    types: dict[str, Any] | None = None
    if format_ == "image":
        spans = list(_image_spans(root, files, part_rows))
    elif format_ == "parquet":
        spans = [span for file in files for span in _parquet_spans(file, column, part_rows)]
    else:
        types = {"line": pa.int64(), column: pa.string()} if format_ == "text" else {}
        spans = [span for file in files for span in _line_spans(file, format_, part_rows, types)]
        types = arrow_schema.without_nulls(types)
        if column not in types and spans:
            raise _no_column(column, list(types))
    if types and VECTORS in types:
        raise InvalidRequest(f"{uri} has a column named {VECTORS!r} already; rename it first.")
    numbered = tuple(replace(span, number=number) for number, span in enumerate(spans))
    return Source(uri, format_, column, numbered, types)


def _files(root: Place, uri: str) -> list[Place]:
    if not root.exists():
        raise InvalidRequest(f"{uri} does not exist.")
    files = root.files(recursive=True) if root.is_folder() else [root]
    known = [file for file in files if PurePosixPath(file.path).suffix.lower() in SUFFIXES]
    formats = sorted({SUFFIXES[PurePosixPath(file.path).suffix.lower()] for file in known})
    if not known:
        raise InvalidRequest(f"{uri} contains no corpus. Known suffixes: {' '.join(SUFFIXES)}.")
    if len(formats) > 1:
        raise InvalidRequest(f"{uri} contains several formats ({', '.join(formats)}); embed one at a time.")
    return known


def _image_spans(root: Place, files: list[Place], part_rows: int) -> Iterator[RowSpan]:
    base = PurePosixPath(root.path) if root.is_folder() else PurePosixPath(root.path).parent
    names = [str(PurePosixPath(file.path).relative_to(base)) for file in files]
    for start in range(0, len(names), part_rows):
        some = tuple(names[start : start + part_rows])
        yield RowSpan(0, str(base), len(some), first_row=start, files=some)


def _parquet_spans(file: Place, column: str, part_rows: int) -> Iterator[RowSpan]:
    with file.open() as stream, pq.ParquetFile(stream) as parquet:
        schema = parquet.schema_arrow
        if column not in schema.names:
            raise _no_column(column, schema.names)
        kind = schema.field(column).type
        if pa.types.is_dictionary(kind):
            kind = kind.value_type
        if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
            raise InvalidRequest(f"Column {column!r} of {file.path} holds {kind}, not text.")
        if VECTORS in schema.names:
            raise InvalidRequest(f"{file.path} has a column named {VECTORS!r} already; rename it first.")
        first = 0
        for group in range(parquet.num_row_groups):
            rows = parquet.metadata.row_group(group).num_rows
            pieces = -(-rows // part_rows)
            step = -(-pieces // _MAX_SPANS_PER_GROUP) * part_rows
            for start in range(0, rows, step or 1):
                stop = min(rows, start + step)
                yield RowSpan(0, file.path, stop - start, start, stop, first, group)
            first += rows


def _line_spans(file: Place, format_: Format, part_rows: int, types: dict[str, Any]) -> Iterator[RowSpan]:
    with file.open() as stream:
        lines = io.BufferedReader(stream, 1 << 20)
        skipped = 0
        if format_ == "csv":
            first = lines.readline()
            while first.count(b'"') % 2 and (more := lines.readline()):
                first += more
            skipped = len(first)
            names = line_records.header(first)
            if types and list(types) != names:
                raise InvalidRequest(f"{file.path} has other columns than the previous file.")
            types.update(dict.fromkeys(names, pa.string()))
        first_line = 1 + (first.count(b"\n") if skipped else 0)
        for part in line_records.ranges(lines, part_rows, quoted=format_ == "csv"):
            start, stop = part.start + skipped, part.stop + skipped
            line = part.first_line + first_line - 1
            yield RowSpan(0, file.path, part.records, start, stop, line)
            if format_ == "jsonl":
                records = line_records.json_records(_bytes(file, start, stop), line)
                arrow_schema.widen(types, [record for _, record in records if isinstance(record, dict)])


def _bytes(file: Place, start: int, stop: int) -> bytes:
    with file.open() as stream:
        stream.seek(start)
        data: bytes = stream.read(stop - start)
        return data


def _no_column(column: str, names: list[str]) -> InvalidRequest:
    return InvalidRequest(
        f"There is no column {column!r}. Columns: {', '.join(names) or 'none'}. Choose with --column."
    )
