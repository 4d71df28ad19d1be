"""Finds and parses the records of line formats: JSONL, CSV and plain text."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

csv.field_size_limit(2**30)


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Complete records of a file: bytes `start` to `stop`, the number of the first line (from 1), and the count."""

    start: int
    stop: int
    first_line: int
    records: int


@dataclass(frozen=True, slots=True)
class BadLine:
    """A record that can't be parsed: the reason and an excerpt."""

    reason: str
    shown: str


Record = dict[str, Any] | BadLine


def ranges(lines: Iterable[bytes], max_records: int, *, quoted: bool) -> Iterator[ByteRange]:
    """Split a file into ranges of at most `max_records` records; blank lines are skipped.

    Args:
        lines: All lines of the file, including line ends.
        quoted: Whether a line end between double quotes is part of the record (CSV).
    """
    start = position = records = 0
    number = first = 1
    inside = False
    for line in lines:
        position += len(line)
        if quoted and line.count(b'"') % 2:
            inside = not inside
        number += 1
        if inside or (not line.strip()):
            continue
        records += 1
        if records == max_records:
            yield ByteRange(start, position, first, records)
            start, first, records = position, number, 0
    if records or inside:
        yield ByteRange(start, position, first, records + inside)


def header(first_record: bytes) -> list[str]:
    """The column names of a CSV file."""
    return next(csv.reader([first_record.decode("utf-8-sig", "replace")]), [])


def json_records(data: bytes, first_line: int) -> Iterator[tuple[int, Record]]:
    for number, line in _lines(data, first_line):
        try:
            value = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            yield number, BadLine(f"not valid JSON: {error}", _shown(line))
            continue
        if isinstance(value, dict):
            yield number, value
        else:
            yield number, BadLine("not a JSON object", _shown(line))


def text_records(data: bytes, first_line: int, column: str) -> Iterator[tuple[int, Record]]:
    for number, line in _lines(data, first_line):
        try:
            yield number, {"line": number, column: line.decode()}
        except UnicodeDecodeError as error:
            yield number, BadLine(f"not UTF-8: {error.reason} at byte {error.start}", _shown(line))


def csv_records(data: bytes, first_line: int, columns: Sequence[str]) -> Iterator[tuple[int, Record]]:
    text = data.decode("utf-8", "surrogateescape")
    reader = csv.reader(io.StringIO(text, newline=""))
    before = 0
    for fields in reader:
        number, before = first_line + before, reader.line_num
        if not fields or (len(fields) == 1 and not fields[0].strip()):
            continue
        joined = ",".join(fields)
        if any("\ud800" <= letter <= "\udfff" for letter in joined):
            yield number, BadLine("not UTF-8", _shown(joined.encode("utf-8", "replace")))
        elif len(fields) != len(columns):
            yield number, BadLine(f"{len(fields)} fields, the header has {len(columns)}", _shown(joined.encode()))
        else:
            yield number, dict(zip(columns, fields, strict=True))


def _lines(data: bytes, first_line: int) -> Iterator[tuple[int, bytes]]:
    for number, line in enumerate(data.removesuffix(b"\n").split(b"\n"), first_line):
        kept = line.removesuffix(b"\r")
        if number == 1:
            kept = kept.removeprefix(b"\xef\xbb\xbf")
        if kept.strip():
            yield number, kept


def _shown(line: bytes) -> str:
    return line[:200].decode("utf-8", "replace")
