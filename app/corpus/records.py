"""Finds and parses the records of text formats: JSON lines, JSON, CSV and plain text.

Records are found in text with one character per byte (Latin-1), so that places in it are places in the file. All that
structures these formats is ASCII, which no other character's UTF-8 contains. Lines end as in Python's text files: with
LF, CR LF or CR.
"""

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

csv.field_size_limit(2**30)
_BLANK = " \t\r\n\v\f"
_GAP = re.compile(r"[ \t\r\n]*,?[ \t\r\n]*")
# orjson turns an integer of more than 64 bits into a float.
_LONG = re.compile(rb"\d{19}")
_JSON = json.JSONDecoder()


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Complete records of a file: bytes `start` to `stop`, their number, and the lines (from 1) of and behind them."""

    start: int
    stop: int
    first_line: int
    records: int
    next_line: int = 0


@dataclass(frozen=True, slots=True)
class BadLine:
    """A record that can't be parsed: the reason and an excerpt."""

    reason: str
    shown: str


Record = dict[str, Any] | BadLine


def lines(stream: Any) -> io.TextIOWrapper:
    """The lines of a binary file, including line ends, with one character per byte."""
    return io.TextIOWrapper(io.BufferedReader(stream, 1 << 20), "latin-1", newline="")


def ranges(
    lines: Iterable[str], max_records: int, delimiter: str | None = None, start: int = 0, first: int = 1
) -> Iterator[ByteRange]:
    """Split a file into ranges of at most `max_records` records; blank lines are skipped.

    Args:
        lines: The lines of the file from byte `start` on, which begins line `first`.
        delimiter: Of CSV. A record is what `csv.reader` takes for one, whatever quotes it contains; a blank line has
            nothing between its ends.

    Raises:
        csv.Error: A field is longer than 2**30 bytes, which only a quote that is never closed makes it.
    """
    position, number, records = start, first, 0
    blank = "\r\n" if delimiter else _BLANK
    rest = iter(lines)
    taken = _Taken(rest)
    reader = csv.reader(taken, delimiter=delimiter or ",")
    for line in rest:
        if delimiter and '"' in line:
            # Other lines are whole records. `csv.reader` takes lines until the record is complete.
            taken.begin(line)
            next(reader)
            position += taken.size
            number += taken.lines
        else:
            position += len(line)
            number += 1
            if not line.strip(blank):
                continue
        records += 1
        if records == max_records:
            yield ByteRange(start, position, first, records, number)
            start, first, records = position, number, 0
    if records:
        yield ByteRange(start, position, first, records, number)


class _Taken:
    """The lines of one record: the first one, then those that follow. Counts how many are taken, and their bytes."""

    def __init__(self, following: Iterator[str]) -> None:
        self._following = following
        self.begin("")

    def begin(self, line: str) -> None:
        self._first = line
        self.size = self.lines = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._following) if self.lines else self._first
        self.size += len(line)
        self.lines += 1
        return line


def elements(text: str, start: int = 0) -> Iterator[tuple[int, int]]:
    """The places of the elements of a JSON array, or of JSON values one after the other.

    Args:
        text: One character per byte; from `start` on.

    Raises:
        ValueError: It is not JSON.
    """
    at = _skipped(text, start)
    is_array = text.startswith("[", at)
    at = _skipped(text, at + is_array)
    while at < len(text) and not (is_array and text[at] == "]"):
        try:
            stop = _JSON.raw_decode(text, at)[1]
        except json.JSONDecodeError as error:
            raise ValueError(f"not valid JSON: {error.msg} at byte {error.pos}") from None
        except RecursionError:
            raise ValueError(f"not valid JSON: nested too deeply at byte {at}") from None
        yield at, stop
        at = _skipped(text, stop)
    if is_array and at >= len(text):
        raise ValueError("not valid JSON: its array is cut off")
    if is_array and _skipped(text, at + 1) < len(text):
        raise ValueError("not valid JSON: its array ends before the file")


def _skipped(text: str, at: int) -> int:
    gap = _GAP.match(text, at)
    return gap.end() if gap else at


def header(first_records: bytes, delimiter: str) -> list[str]:
    """The column names of a CSV file: its first record that is not blank. Raises UnicodeDecodeError."""
    reader = csv.reader(io.StringIO(first_records.decode(), newline=""), delimiter=delimiter)
    return next(filter(None, reader), [])


def json_lines(data: bytes, first_line: int) -> Iterator[tuple[int, Record]]:
    return ((number, _json_record(line)) for number, line in _lines(data, first_line))


def json_elements(data: bytes, first: int) -> Iterator[tuple[int, Record]]:
    """`data`: elements of an array, without the array's brackets."""
    places = elements(f"[{data.decode('latin-1')}]")
    return ((number, _json_record(data[start - 1 : stop - 1])) for number, (start, stop) in enumerate(places, first))


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
    except ValueError as error:
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
    reader = csv.reader(io.StringIO(data.decode("utf-8", "surrogateescape"), newline=""), delimiter=delimiter)
    suspicious = _not_text(data)
    before = 0
    for fields in reader:
        number, before = first_line + before, reader.line_num
        if not fields:
            continue
        joined = delimiter.join(fields).encode("utf-8", "surrogateescape")
        if suspicious and (reason := _not_text(joined)):
            yield number, BadLine(reason.partition(": invalid")[0], _shown(joined))
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
