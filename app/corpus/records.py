"""Finds and parses the records of JSON lines, JSON, CSV and plain text. They are found in text with one character per
byte (Latin-1), so that places in it are places in the file. Lines end with LF, CR LF or CR."""

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Any

import orjson

csv.field_size_limit(2**30)
_BLANK = " \t\r\n\v\f"
_GAP = re.compile(r"[ \t\r\n]*,?[ \t\r\n]*")
_LONG = re.compile(rb"\d{19}")  # orjson turns an integer of more than 64 bits into a float
_JSON = json.JSONDecoder()


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Complete records: bytes `start` to `stop`. `first`: the first one's line, from 1, or place in an array, from
    0."""

    start: int
    stop: int
    first: int
    records: int


@dataclass(frozen=True, slots=True)
class BadLine:
    """A record that can't be parsed: the reason and an excerpt."""

    reason: str
    shown: str


Record = dict[str, Any] | BadLine


def lines(stream: Any) -> io.TextIOWrapper:
    """The lines of a binary file, including line ends, with one character per byte."""
    return io.TextIOWrapper(io.BufferedReader(stream, 1 << 20), "latin-1", newline="")


def ranges(lines: Iterable[str], max_records: int, delimiter: str | None = None, start: int = 0) -> Iterator[ByteRange]:
    """Split a file into ranges of at most `max_records` records; blank lines are skipped. `lines`: those from byte
    `start` on. `delimiter`: of CSV, whose records are those of `csv.reader`; the first range is the header."""
    position, number, records, first = start, 1, 0, 1

    def counted() -> Iterator[str]:
        nonlocal position, number
        for line in lines:
            position += len(line)
            number += 1
            yield line

    limit = 1 if delimiter else max_records
    # `csv.reader` takes lines until a record is complete; it makes nothing of a blank one.
    some: Iterator[Any] = map(str.strip, counted(), repeat(_BLANK))
    for record in csv.reader(counted(), delimiter=delimiter) if delimiter else some:
        if not record:
            continue
        records += 1
        if records == limit:
            yield ByteRange(start, position, first, records)
            start, first, records, limit = position, number, 0, max_records
    if records:
        yield ByteRange(start, position, first, records)


def elements(text: str) -> Iterator[tuple[int, int]]:
    """The places of a JSON array's elements, or of JSON values one after the other. Raises ValueError."""
    at = _skipped(text, 0)
    is_array = text.startswith("[", at)
    at = _skipped(text, at + is_array)
    while at < len(text) and not (is_array and text[at] == "]"):
        try:
            stop = _JSON.raw_decode(text, at)[1]
        except (json.JSONDecodeError, RecursionError) as error:
            raise ValueError(f"not valid JSON at byte {getattr(error, 'pos', at)}: {error}") from None
        yield at, stop
        at = _skipped(text, stop)
    if is_array and (at >= len(text) or _skipped(text, at + 1) < len(text)):
        raise ValueError("not valid JSON: its array does not end with the file")


def element_ranges(text: str, max_records: int, start: int) -> Iterator[ByteRange]:
    """As `ranges`. `text`: what begins at byte `start`."""
    places: list[tuple[int, int]] = []
    first = 0
    for place in chain(elements(text), [None]):
        if places and (place is None or len(places) == max_records):
            yield ByteRange(start + places[0][0], start + places[-1][1], first, len(places))
            first += len(places)
            places.clear()
        if place is not None:
            places.append(place)


def _skipped(text: str, at: int) -> int:
    gap = _GAP.match(text, at)
    return gap.end() if gap else at


def json_lines(data: bytes, first_line: int) -> Iterator[tuple[int, Record]]:
    return ((number, _json_record(line)) for number, line in _lines(data, first_line))


def json_elements(data: bytes, first: int) -> Iterator[tuple[int, Record]]:
    """`data`: elements of an array, without the array's brackets."""
    places = elements(f"[{data.decode('latin-1')}]")
    return ((number, _json_record(data[start - 1 : stop - 1])) for number, (start, stop) in enumerate(places, first))


JSON = {"jsonl": json_lines, "json": json_elements}


def _json_record(line: bytes) -> Record:
    try:
        value = orjson.loads(line)
        if not isinstance(value, dict):
            return BadLine("not a JSON object", _shown(line))
        # As many colons as keys: no key comes twice.
        if line.count(b":") != len(value) or _LONG.search(line):
            value = json.loads(line, object_pairs_hook=_without_duplicates)
    except orjson.JSONDecodeError as error:
        return BadLine(f"not valid JSON: {error}", _shown(line))
    except (ValueError, RecursionError) as error:
        return BadLine(str(error), _shown(line))
    record: dict[str, Any] = value
    return record


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise ValueError(f"the key {twice([name for name, _ in pairs])!r} comes twice")
    return value


def twice(names: Sequence[str]) -> str | None:
    """The first name that comes again."""
    return next((name for i, name in enumerate(names) if name in names[:i]), None)


def text_records(data: bytes, first_line: int, column: str) -> Iterator[tuple[int, Record]]:
    for number, line in _lines(data, first_line):
        reason = _not_text(line)
        yield number, BadLine(reason, _shown(line)) if reason else {"line": number, column: line.decode()}


def csv_records(
    data: bytes, first_line: int, columns: Sequence[str], delimiter: str = ","
) -> Iterator[tuple[int, Record]]:
    # An open quote takes the empty line at the end too; else that is a record of nothing.
    lines = [*io.StringIO(data.decode("utf-8", "surrogateescape"), newline=""), ""]
    reader = csv.reader(lines, delimiter=delimiter)
    suspicious = _not_text(data)
    before = 0
    for fields in reader:
        number, before = first_line + before, reader.line_num
        if not fields:
            continue
        joined = delimiter.join(fields).encode("utf-8", "surrogateescape")
        if suspicious and (reason := _not_text(joined)):
            yield number, BadLine(reason if b"\0" in joined else "not UTF-8", _shown(joined))
        elif before == len(lines):
            yield number, BadLine("a quote is opened and never closed", _shown(joined))
        elif len(fields) != len(columns):
            yield number, BadLine(f"{len(fields)} fields, the header has {len(columns)}", _shown(joined))
        else:
            yield number, dict(zip(columns, fields, strict=True))


def _not_text(data: bytes) -> str | None:
    if b"\0" in data:
        return "not text: it contains a NUL byte"
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return f"not UTF-8: {error.reason} at byte {error.start}"
    return None


def _lines(data: bytes, first_line: int) -> Iterator[tuple[int, bytes]]:
    blank = _BLANK.encode()
    return ((number, line) for number, line in enumerate(data.splitlines(), first_line) if line.strip(blank))


def _shown(line: bytes) -> str:
    return line[:200].decode("utf-8", "replace")
