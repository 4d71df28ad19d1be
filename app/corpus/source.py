"""Plans a run: finds the files to embed, their format and columns, and splits their rows into spans."""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from app.corpus import contents
from app.corpus import records as text_records
from app.corpus import schema as arrow_schema
from app.corpus.filesystem import Place, locate, reading
from app.corpus.folder import Listing, list_files, partition_types
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
    """A corpus: its format, its spans, and the types of its columns (None: each Parquet file has its own).

    `partitions`: types of the columns that are in the names of folders. `unread`: files that can't be read, and why.
    `hidden`: files that a leading `_` or `.` excludes.
    """

    uri: str
    format: Format
    column: str
    spans: tuple[RowSpan, ...]
    types: dict[str, Any] | None = None
    partitions: dict[str, Any] = field(default_factory=dict)
    unread: tuple[tuple[str, str], ...] = ()
    hidden: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        """All rows; a file that can't be read counts as one."""
        return sum(span.rows for span in self.spans) + len(self.unread)


def plan(uri: str, column: str, part_rows: int, format_: Format | None = None) -> Source:
    """Read through a corpus once, without keeping its rows in memory (except those of a `.json` file).

    Args:
        part_rows: Rows per span of a text format or image folder; Parquet spans hold multiples of it.
        format_: Of all files; None: the format of their suffixes.

    Raises:
        InvalidRequest: The path does not exist, formats are mixed or unknown, a file is damaged or not what it should
            be, or there is no such text column.
    """
    root = locate(uri)
    if not root.exists():
        raise InvalidRequest(f"{uri} does not exist.")
    found, format_ = _of_one_format(root, list_files(root), format_)
    types: dict[str, Any] | None = None
    partitions: dict[str, Any] = {}
    if format_ == "image":
        spans = list(_image_spans(root, found.files, part_rows))
    else:
        partitions = partition_types(root, found.files)
        if format_ != "parquet":
            types = {"line": pa.int64(), column: pa.string()} if format_ == "text" else {}
        spans = []
        for file in found.files:
            with reading(file):
                if types is None:
                    spans += _parquet_spans(file, column, part_rows)
                elif format_ == "json":
                    spans += _json_spans(file, part_rows, types)
                else:
                    spans += _line_spans(file, format_, column, part_rows, types)
    if types is not None:
        types = arrow_schema.writable(types)
        if column not in types and spans:
            raise _no_column(column, list(types))
    if VECTORS in {**(types or {}), **partitions}:
        raise InvalidRequest(f"{uri} has a column named {VECTORS!r} already; rename it first.")
    numbered = tuple(replace(span, number=number) for number, span in enumerate(spans))
    return Source(uri, format_, column, numbered, types, partitions, tuple(found.unread), tuple(found.hidden))


def _of_one_format(root: Place, found: Listing, given: Format | None) -> tuple[Listing, Format]:
    if given is not None and found.files:
        return found, given
    known = [(file, SUFFIXES.get(PurePosixPath(file.path).suffix.lower())) for file in found.files]
    advice = f"Known suffixes: {' '.join(SUFFIXES)}; files with others need --format"
    unread = [*found.unread, *((file.shown, f"unknown suffix. {advice}") for file, format_ in known if not format_)]
    formats = sorted({format_ for _, format_ in known if format_})
    if not formats:
        if not root.is_folder():
            with reading(root), root.open() as stream:
                kind = contents.kind_of(stream.read(contents.HEAD)) or "not known to be a corpus"
            raise InvalidRequest(f"{root.shown} is {kind}. {advice}.")
        others = "".join(f"; {name}: {reason.partition('.')[0]}" for name, reason in unread[:3])
        raise InvalidRequest(f"{root.shown} contains no corpus{others}. {advice}.")
    if len(formats) > 1:
        raise InvalidRequest(f"{root.shown} contains several formats ({', '.join(formats)}); embed one at a time.")
    return Listing([file for file, format_ in known if format_], found.hidden, unread), formats[0]


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
            if name := text_records.twice(schema.names):
                raise InvalidRequest(f"{file.shown} has two columns named {name!r}; rename one.")
            if column not in schema.names:
                raise _no_column(column, schema.names)
            if arrow_schema.text_type(kind := schema.field(column).type) is None:
                raise InvalidRequest(f"Column {column!r} of {file.shown} holds {kind}, not text.")
            if VECTORS in schema.names:
                raise InvalidRequest(f"{file.shown} has a column named {VECTORS!r} already; rename it first.")
            first = 0
            for group in range(parquet.num_row_groups):
                rows = parquet.metadata.row_group(group).num_rows
                pieces = -(-rows // part_rows)
                step = -(-pieces // _MAX_SPANS_PER_GROUP) * part_rows
                for start in range(0, rows, step or 1):
                    stop = min(rows, start + step)
                    yield RowSpan(0, file.path, stop - start, start, stop, first, group)
                first += rows


def _line_spans(file: Place, format_: Format, column: str, part_rows: int, types: dict[str, Any]) -> Iterator[RowSpan]:
    delimiter = DELIMITERS.get(format_)
    with file.open() as stream:
        start, number = contents.check_text(file, stream), 1
        stream.seek(start)
        lines = text_records.lines(stream)
        if delimiter:
            head = next(text_records.ranges(lines, 1, delimiter, start), None)
            if head is None:
                return
            start, number = head.stop, head.next_line
            _add_header(file, _bytes(file, head.start, head.stop), column, delimiter, types)
        try:
            for part in text_records.ranges(lines, part_rows, delimiter, start, number):
                yield RowSpan(0, file.path, part.records, part.start, part.stop, part.first_line)
                if format_ == "jsonl":
                    rows = text_records.json_lines(_bytes(file, part.start, part.stop), part.first_line)
                    arrow_schema.widen(types, [row for _, row in rows if isinstance(row, dict)])
        except csv.Error as error:
            raise InvalidRequest(f"{file.shown} has a quote that is never closed: {error}.") from error


def _add_header(file: Place, data: bytes, column: str, delimiter: str, types: dict[str, Any]) -> None:
    try:
        names = text_records.header(data, delimiter)
    except UnicodeDecodeError:
        raise InvalidRequest(f"{file.shown} has a header that is not UTF-8: convert the file to UTF-8.") from None
    if (name := text_records.twice(names)) is not None:
        raise InvalidRequest(f"{file.shown} has two columns named {name!r}: {', '.join(names)}. Rename one.")
    if types and list(types) != names:
        raise InvalidRequest(f"{file.shown} has other columns than the previous file.")
    if len(names) == 1 and column != names[0] and column in (others := re.split(r"[,;|\t]", names[0])):
        mark = names[0][len(others[0])]
        advice = "pass --format tsv" if mark == "\t" else "pass --format csv" if mark == "," else "save it with commas"
        raise InvalidRequest(f"{file.shown} separates its columns by {mark!r}, not by {delimiter!r}: {advice}.")
    types.update(dict.fromkeys(names, pa.string()))


def _json_spans(file: Place, part_rows: int, types: dict[str, Any]) -> Iterator[RowSpan]:
    with file.open() as stream:
        at = contents.check_text(file, stream)
        text = stream.read().decode("latin-1")
    places: list[tuple[int, int]] = []
    first = 0

    def span() -> RowSpan:
        start, stop = places[0][0], places[-1][1]
        rows = text_records.json_elements(text[start:stop].encode("latin-1"), first)
        arrow_schema.widen(types, [row for _, row in rows if isinstance(row, dict)])
        return RowSpan(0, file.path, len(places), start, stop, first)

    try:
        for place in text_records.elements(text, at):
            places.append(place)
            if len(places) == part_rows:
                yield span()
                first += part_rows
                places.clear()
    except ValueError as error:
        raise InvalidRequest(f"{file.shown} is {error}.") from None
    if places:
        yield span()


def _bytes(file: Place, start: int, stop: int) -> bytes:
    with file.open() as stream:
        stream.seek(start)
        data: bytes = stream.read(stop - start)
        return data


def _no_column(column: str, names: list[str]) -> InvalidRequest:
    return InvalidRequest(
        f"There is no column {column!r}. Columns: {', '.join(names) or 'none'}. Choose with --column."
    )
