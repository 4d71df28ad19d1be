"""Plans a run: finds the files to embed, their format and columns, and splits their rows into spans."""

import codecs
import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from app.corpus import contents
from app.corpus import records as text_records
from app.corpus import schema as arrow_schema
from app.corpus.filesystem import Place, locate, reading
from app.corpus.folder import Listing, list_files, partition, partition_types, typed
from app.errors import InvalidRequest

Format = Literal["parquet", "jsonl", "json", "csv", "tsv", "text", "image"]
VECTORS = "embedding"
IMAGE_SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".gif", ".bmp"),
    *(".tif", ".tiff", ".avif", ".heic", ".heif"),
)
SUFFIXES: dict[str, Format] = {
    **dict.fromkeys((".parquet", ".pq"), "parquet"),
    **dict.fromkeys((".jsonl", ".ndjson"), "jsonl"),
    ".json": "json",
    ".csv": "csv",
    ".tsv": "tsv",
    ".txt": "text",
    **dict.fromkeys(IMAGE_SUFFIXES, "image"),
}
IMAGE_COLUMNS = {"path": pa.string(), "bytes": pa.int64(), "content_hash": pa.string()}
DELIMITERS = {"csv": ",", "tsv": "\t"}
# A large row group is split into at most this many spans: each worker reads and skips the rows before its span.
_MAX_SPANS_PER_GROUP = 16


@dataclass(frozen=True, slots=True)
class RowSpan:
    """Consecutive rows for one worker. `start` and `stop` are bytes of a text format, rows of a Parquet row group."""

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
    """A corpus: its format, its spans, and the types of its columns (a Parquet file has its own), those in the names of
    folders in `partitions`. `unread` and `hidden`: see `Listing`."""

    uri: str
    format: Format
    column: str
    spans: tuple[RowSpan, ...]
    types: dict[str, Any]
    partitions: dict[str, Any] = field(default_factory=dict)
    unread: tuple[tuple[str, str], ...] = ()
    hidden: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        """A file that can't be read counts as one."""
        return sum(span.rows for span in self.spans) + len(self.unread)


def plan(
    uri: str,
    column: str,
    part_rows: int,
    given: Format | None = None,
    written: Sequence[str] = (VECTORS,),
    id_column: str | None = None,
) -> Source:
    """Read through a corpus once, without keeping its rows in memory (except those of a `.json` file). A span of a text
    format or image folder has `part_rows` rows, one of Parquet a multiple. `given`: the format of all files; `written`:
    columns that will be added. Raises InvalidRequest if there is none, formats are mixed or unknown, a file is damaged
    or has such columns, or there is no such text column or `id_column`."""
    root = locate(uri)
    if not root.exists():
        raise InvalidRequest(f"{uri}: not found.")
    with reading(root):
        found = list_files(root)
    format_ = given if given and found.files else _format_of(found, root)
    partitions = {} if format_ == "image" else partition_types(root, found.files)
    types: dict[str, Any] = {"line": pa.int64(), column: pa.string()} if format_ == "text" else {}
    types |= IMAGE_COLUMNS if format_ == "image" else {}
    spans = list(_image_spans(root, found.files, part_rows)) if format_ == "image" else []
    for file in found.files if format_ != "image" else []:
        with reading(file):
            if format_ == "parquet":
                spans += _parquet_spans(file, column, part_rows)
                names = file.read_schema().names
                _check_free(file.path, names, written)
                _check_id(file.path, id_column, [*names, *partitions])
            else:
                spans += _text_spans(file, format_, column, part_rows, types)
    for file in found.files if format_ in text_records.JSON else []:
        # Rows of some files may have what the folders of others say.
        named = typed(partition(root, file.path), partitions)
        arrow_schema.widen(types, [{name: named[name] for name in named if name in types and name != column}])
    if types:
        _check_id(root.path, id_column, [*types, *partitions])
    # Without a record that can be parsed, all are rejected.
    types = arrow_schema.writable(types or {column: pa.string()})
    if format_ not in ("parquet", "image") and spans:
        if column not in types:
            raise _no_column(root.path, column, list(types))
        _check_text(root.path, column, types[column])
    _check_free(uri, [*types, *partitions], written)
    numbered = tuple(replace(span, number=number) for number, span in enumerate(spans))
    return Source(uri, format_, column, numbered, types, partitions, tuple(found.unread), tuple(found.hidden))


def _format_of(found: Listing, root: Place) -> Format:
    """The one format of the files; others become unread."""
    known = [(file, SUFFIXES.get(PurePosixPath(file.path).suffix.lower())) for file in found.files]
    formats = sorted({format_ for _, format_ in known if format_})
    for file, format_ in known:
        if format_ is None:
            with reading(file):
                found.unread.append((file.path, contents.kind(file) or "its suffix is unknown: it needs --format"))
    if not formats:
        names = "".join(f"; {name}: {reason}" for name, reason in found.unread[:3])
        raise InvalidRequest(f"{root.path} contains no corpus{names}. Known suffixes: {' '.join(SUFFIXES)}.")
    if len(formats) > 1:
        raise InvalidRequest(f"{root.path} contains several formats ({', '.join(formats)}); embed one at a time.")
    found.files = [file for file, format_ in known if format_]
    return formats[0]


def _image_spans(root: Place, files: list[Place], part_rows: int) -> Iterator[RowSpan]:
    base = PurePosixPath(root.path) if root.is_folder() else PurePosixPath(root.path).parent
    names = [str(PurePosixPath(file.path).relative_to(base)) for file in files]
    for start in range(0, len(names), part_rows):
        some = tuple(names[start : start + part_rows])
        yield RowSpan(0, str(base), len(some), first_row=start, files=some)


def _parquet_spans(file: Place, column: str, part_rows: int) -> Iterator[RowSpan]:
    with file.open() as stream:
        contents.check_parquet(file, stream)
        with pq.ParquetFile(stream) as parquet:
            schema = parquet.schema_arrow
            _check_names(file, schema.names)
            if column not in schema.names:
                raise _no_column(file.path, column, schema.names)
            _check_text(file.path, column, schema.field(column).type)
            first = 0
            for group in range(parquet.num_row_groups):
                rows = parquet.metadata.row_group(group).num_rows
                pieces = -(-rows // part_rows)
                step = -(-pieces // _MAX_SPANS_PER_GROUP) * part_rows
                for start in range(0, rows, step or 1):
                    stop = min(rows, start + step)
                    yield RowSpan(0, file.path, stop - start, start, stop, first, group)
                first += rows


def _text_spans(file: Place, format_: Format, column: str, part_rows: int, types: dict[str, Any]) -> Iterator[RowSpan]:
    if kind := contents.kind(file):
        raise InvalidRequest(f"{file.path} is {kind}.")
    delimiter = DELIMITERS.get(format_)
    with file.open() as stream:
        head = stream.read(4096)
        start = 3 if head.startswith(codecs.BOM_UTF8) else 0
        stream.seek(start)
        if format_ == "jsonl" and head[start:].split(maxsplit=1)[:1] == [b"["]:
            raise InvalidRequest(f"{file.path} is a JSON array: --format json reads it.")
        if format_ == "json":
            parts = text_records.element_ranges(stream.read().decode("latin-1"), part_rows, start)
        else:
            parts = text_records.ranges(text_records.lines(stream), part_rows, delimiter, start)
        if delimiter and (head := next(parts, None)):
            _add_header(file, file.read(head.start, head.stop), column, delimiter, types)
        for part in parts:
            yield RowSpan(0, file.path, part.records, part.start, part.stop, part.first)
            if parse := text_records.JSON.get(format_):
                records = parse(file.read(part.start, part.stop), part.first)
                arrow_schema.widen(types, [record for _, record in records if isinstance(record, dict)])


def _add_header(file: Place, data: bytes, column: str, delimiter: str, types: dict[str, Any]) -> None:
    reader = csv.reader(io.StringIO(data.decode(), newline=""), delimiter=delimiter)
    names = next(row for row in reader if row)
    _, header = next(text_records.csv_records(data, 1, names, delimiter))
    if isinstance(header, text_records.BadLine):
        raise InvalidRequest(f"{file.path} is damaged: {header.reason}: {header.shown[:80]!r}.")
    _check_names(file, names)
    if types and list(types) != names:
        raise InvalidRequest(f"{file.path} has other columns than the previous file.")
    if len(names) == 1 and column in (others := re.split(r"[,;|\t]", names[0])) and len(others) > 1:
        mark = names[0][len(others[0])]
        raise InvalidRequest(f"{file.path} separates its columns by {mark!r}: --format csv and tsv read ',' and tab.")
    types.update(dict.fromkeys(names, pa.string()))


def _check_names(file: Place, names: list[str]) -> None:
    if (name := text_records.twice(names)) is not None:
        raise InvalidRequest(f"{file.path} has two columns named {name!r}; rename one.")


def _check_text(path: str, column: str, kind: Any) -> None:
    if arrow_schema.text_type(kind) is None:
        raise InvalidRequest(f"Column {column!r} of {path} holds {kind}, not text.")


def _check_free(path: str, names: Sequence[str], written: Sequence[str]) -> None:
    if taken := [name for name in written if name in names]:
        raise InvalidRequest(f"{path} has a column named {taken[0]!r} already; rename it first.")


def _check_id(path: str, id_column: str | None, names: Sequence[str]) -> None:
    if id_column is not None and id_column not in names:
        raise InvalidRequest(f"{path} has no column {id_column!r} for the ids. Columns: {', '.join(names)}.")


def _no_column(path: str, column: str, names: list[str]) -> InvalidRequest:
    others = ", ".join(names) or "none"
    return InvalidRequest(f"{path} has no column {column!r}. Columns: {others}. Choose with --column.")
