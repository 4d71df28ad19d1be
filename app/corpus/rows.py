"""From a span to the rows that can be embedded and the records of those that can't."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from app.config.args import Limits
from app.corpus import records as corpus_lines
from app.corpus import schema
from app.corpus.filesystem import Place, locate
from app.corpus.records import BadLine
from app.corpus.source import Source, Span


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that was left out. `row`: its line in a file of lines, its place from 0 in Parquet or a folder."""

    source: str
    row: int
    reason: str
    value: str | None = None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Piece:
    """The rows of one output file: `table` holds what can be embedded, `texts` or `images` what the model reads.

    `origins`: file and number of each row of `table`.
    """

    number: int
    table: Any
    texts: list[str]
    images: list[bytes]
    origins: list[tuple[str, int]]
    rejects: list[Reject]


def pieces(source: Source, span: Span, part_rows: int, limits: Limits) -> Iterator[Piece]:
    """A span's rows, at most `part_rows` at a time."""
    place = Place(locate(source.uri).filesystem, span.file)
    if source.format == "image":
        yield _images(place, span, limits)
    elif source.format == "parquet":
        yield from _parquet(place, span, source.column, part_rows, limits)
    else:
        yield _lines(place, span, source, limits)


def _images(folder: Place, span: Span, limits: Limits) -> Piece:
    rows: list[dict[str, Any]] = []
    origins: list[tuple[str, int]] = []
    rejects: list[Reject] = []
    contents: list[bytes] = []
    for number, name in enumerate(span.files, span.first_row):
        try:
            with (folder / name).open() as file:
                data = file.read(limits.image_bytes + 1)
        except OSError as error:
            rejects.append(Reject(name, number, f"can't be read: {error}"))
            continue
        if len(data) > limits.image_bytes:
            rejects.append(Reject(name, number, f"more than {limits.image_bytes} bytes"))
            continue
        digest = hashlib.blake2b(data, digest_size=16).hexdigest()
        rows.append({"path": name, "bytes": len(data), "content_hash": digest})
        origins.append((name, number))
        contents.append(data)
    types = {"path": pa.string(), "bytes": pa.int64(), "content_hash": pa.string()}
    return Piece(0, schema.table(rows, types), [], contents, origins, rejects)


def _parquet(file: Place, span: Span, column: str, part_rows: int, limits: Limits) -> Iterator[Piece]:
    with file.open() as stream, pq.ParquetFile(stream) as parquet:
        position = count = 0
        for batch in parquet.iter_batches(part_rows, row_groups=[span.group]):
            start, position = position, position + len(batch)
            # Batches may be shorter than asked for: only the overlap is this span's.
            low, high = max(start, span.start), min(position, span.stop)
            if low < high:
                table = pa.Table.from_batches([batch.slice(low - start, high - low)])
                numbers = range(span.first_row + low, span.first_row + high)
                yield _checked(count, table, numbers, column, file.path, [], limits)
                count += 1
            if position >= span.stop:
                return


def _lines(file: Place, span: Span, source: Source, limits: Limits) -> Piece:
    assert source.types is not None  # noqa: S101 - every format of lines has them
    with file.open() as stream:
        stream.seek(span.start)
        data = stream.read(span.stop - span.start)
    if source.format == "jsonl":
        records = corpus_lines.json_records(data, span.first_row)
    elif source.format == "csv":
        records = corpus_lines.csv_records(data, span.first_row, list(source.types))
    else:
        records = corpus_lines.text_records(data, span.first_row, source.column)
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
            rows.append(record)
    return _checked(0, schema.table(rows, source.types), numbers, source.column, file.path, rejects, limits)


def _checked(
    number: int,
    table: Any,
    numbers: Sequence[int],
    column: str,
    file: str,
    rejects: list[Reject],
    limits: Limits,
) -> Piece:
    texts: list[str] = []
    keep = np.zeros(len(table), np.bool_)
    for i, text in enumerate(table[column].to_pylist()):
        if (reason := _trouble(text, limits)) is None:
            keep[i] = True
            texts.append(text)
        else:
            rejects.append(Reject(file, numbers[i], f"{column!r} {reason}", text[:200] if text else None))
    whole = table if keep.all() else table.filter(pa.array(keep))
    origins = [(file, row) for row, kept in zip(numbers, keep, strict=True) if kept]
    return Piece(number, whole, texts, [], origins, sorted(rejects, key=lambda reject: reject.row))


def _trouble(text: str | None, limits: Limits) -> str | None:
    """What the service would refuse, it refuses here."""
    if text is None:
        return "is missing"
    if not text:
        return "is empty"
    # Four bytes a letter at most: only long texts need counting.
    if len(text) * 4 > limits.text_bytes and len(text.encode()) > limits.text_bytes:
        return f"has more than {limits.text_bytes} bytes"
    return None
