"""Reads a span: the rows that can be embedded, and records of the rows that can't."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from app.config.args import Limits
from app.corpus import records as text_records
from app.corpus import schema
from app.corpus.filesystem import Place, locate, reading
from app.corpus.folder import partition, typed, with_partition
from app.corpus.records import BadLine
from app.corpus.source import DELIMITERS, IMAGE_COLUMNS, RowSpan, Source


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that was left out. `row`: its line number in a file of lines, else its index from 0; None: a whole file."""

    source: str
    row: int | None
    reason: str
    value: str | None = None


@dataclass(frozen=True, slots=True)
class Piece:
    """The rows of one output file: `table`, their `texts` or `images`, and their source files and row numbers."""

    number: int
    table: Any
    texts: list[str]
    images: list[bytes]
    origins: list[tuple[str, int]]
    rejects: list[Reject]

    def slice(self, start: int, stop: int | None = None) -> "Piece":
        """Some of its rows, without the rejects."""
        table = self.table.slice(start, None if stop is None else stop - start)
        some = slice(start, stop)
        return Piece(self.number, table, self.texts[some], self.images[some], self.origins[some], [])


def pieces(source: Source, span: RowSpan, part_rows: int, limits: Limits) -> Iterator[Piece]:
    """The rows of a span, at most `part_rows` per piece."""
    root = locate(source.uri)
    place = Place(root.filesystem, span.file)
    if source.format == "image":
        yield _images(place, span, limits)
        return
    values = partition(root, span.file)
    with reading(place):
        if source.format == "parquet":
            found = _parquet(place, span, source, part_rows, limits)
        else:
            found = _text(place, span, source, limits, typed(values, source.partitions))
        for piece in found:
            yield replace(piece, table=with_partition(piece.table, values, source.partitions))


def rejected_files(source: Source) -> list[Reject]:
    """The files that can't be read."""
    return [Reject(name, None, reason) for name, reason in source.unread]


def _images(folder: Place, span: RowSpan, limits: Limits) -> Piece:
    rows: list[dict[str, Any]] = []
    origins: list[tuple[str, int]] = []
    rejects: list[Reject] = []
    contents: list[bytes] = []
    for number, name in enumerate(span.files, span.first_row):
        try:
            with (folder / name).open() as file:
                data = file.read(limits.image_bytes + 1)
        except OSError as error:
            rejects.append(Reject(name, number, f"can't be read: {error.strerror or error}"))
            continue
        if len(data) > limits.image_bytes:
            rejects.append(Reject(name, number, f"more than {limits.image_bytes} bytes"))
            continue
        digest = hashlib.blake2b(data, digest_size=16).hexdigest()
        rows.append({"path": name, "bytes": len(data), "content_hash": digest})
        origins.append((name, number))
        contents.append(data)
    return Piece(0, schema.table(rows, IMAGE_COLUMNS), [], contents, origins, rejects)


def _parquet(file: Place, span: RowSpan, source: Source, part_rows: int, limits: Limits) -> Iterator[Piece]:
    # Without its checksum, a damaged page may read as other values.
    with file.open() as stream, pq.ParquetFile(stream, page_checksum_verification=True) as parquet:
        position = count = 0
        for batch in parquet.iter_batches(part_rows, row_groups=[span.group]):
            start, position = position, position + len(batch)
            # Batches may be shorter than requested. Only the overlap belongs to this span.
            low, high = max(start, span.start), min(position, span.stop)
            if low < high:
                table = schema.plain(pa.Table.from_batches([batch.slice(low - start, high - low)]))
                numbers = range(span.first_row + low, span.first_row + high)
                yield _checked(count, table, numbers, source.column, file.path, [], limits)
                count += 1
            if position >= span.stop:
                return


def _text(file: Place, span: RowSpan, source: Source, limits: Limits, named: dict[str, Any]) -> Iterator[Piece]:
    """`named`: the columns in the names of its folders, for rows that lack them."""
    named = {name: value for name, value in named.items() if name != source.column}
    data = file.read(span.start, span.stop)
    if parse := text_records.JSON.get(source.format):
        records = parse(data, span.first_row)
    elif delimiter := DELIMITERS.get(source.format):
        records = text_records.csv_records(data, span.first_row, list(source.types), delimiter)
    else:
        records = text_records.text_records(data, span.first_row, source.column)
    numbers: list[int] = []
    rows: list[dict[str, Any]] = []
    rejects: list[Reject] = []
    for number, record in records:
        if isinstance(record, BadLine):
            rejects.append(Reject(file.path, number, record.reason, record.shown))
        elif not isinstance(record.get(source.column), (str, type(None))):
            rejects.append(Reject(file.path, number, f"{source.column!r} is not text", repr(record)[:200]))
        else:
            numbers.append(number)
            rows.append({**named, **record})
    yield _checked(0, schema.table(rows, source.types), numbers, source.column, file.path, rejects, limits)


def _checked(
    number: int, table: Any, numbers: Sequence[int], column: str, file: str, rejects: list[Reject], limits: Limits
) -> Piece:
    texts: list[str] = []
    keep = np.zeros(len(table), np.bool_)
    for i, text in enumerate(_values(table[column])):
        if isinstance(text, str) and (reason := rejection_reason(text, limits)) is None:
            keep[i] = True
            texts.append(text)
        else:
            reason = reason if isinstance(text, str) else "is missing" if text is None else "is not UTF-8"
            shown = text[:200].decode(errors="replace") if isinstance(text, bytes) else text and text[:200]
            rejects.append(Reject(file, numbers[i], f"{column!r} {reason}", shown or None))
    whole = table if keep.all() else table.filter(pa.array(keep))
    if schema.text_type(whole.schema.field(column).type) in (pa.binary(), pa.large_binary()):
        whole = whole.set_column(whole.schema.get_field_index(column), column, pa.array(texts, pa.string()))
    origins = [(file, row) for row, kept in zip(numbers, keep, strict=True) if kept]
    return Piece(number, whole, texts, [], origins, sorted(rejects, key=lambda reject: reject.row or 0))


def _values(column: Any) -> Iterator[str | bytes | None]:
    """The texts of a column; those that are not UTF-8 as bytes."""
    if isinstance(column.type, pa.BaseExtensionType):
        column = column.cast(column.type.storage_type)
    for value in column.cast(schema.text_type(column.type)).cast(pa.large_binary()).to_pylist():
        try:
            yield None if value is None else value.decode()
        except UnicodeDecodeError:
            yield value


def rejection_reason(text: str, limits: Limits) -> str | None:
    """Why the service would reject this text; None if it would not."""
    if not text:
        return "is empty"
    # UTF-8 has at most four bytes per character, so only long texts need to be encoded.
    if len(text) * 4 > limits.text_bytes and len(text.encode()) > limits.text_bytes:
        return f"has more than {limits.text_bytes} bytes"
    return None
