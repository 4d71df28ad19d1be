"""Ranges cover every record once, wherever they are cut."""

import csv
import io
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.corpus import records
from app.corpus.run import Progress, duration

FIELD = st.text(st.sampled_from('ab,"\n é'), max_size=8)


def csv_rows(data: bytes, most: int, delimiter: str = ",") -> Iterator[list[str]]:
    """The rows of all ranges, each read by itself."""
    for part in records.ranges(records.lines(io.BytesIO(data)), most, delimiter):
        text = data[part.start : part.stop].decode()
        rows = [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if row]
        assert len(rows) == part.records <= most
        yield from rows


@given(st.lists(st.text(st.sampled_from("ab é\r"), max_size=5)), st.integers(1, 4), st.booleans())
def test_lines_are_covered_once(lines: list[str], most: int, last_end: bool) -> None:
    data = ("\n".join(lines) + ("\n" if last_end else "")).encode()
    found: list[tuple[int, Any]] = []
    for part in records.ranges(records.lines(io.BytesIO(data)), most):
        some = list(records.text_records(data[part.start : part.stop], part.first, "text"))
        assert len(some) == part.records <= most
        found += some
    expected = [(i, line) for i, line in enumerate(re.split("\r\n|\r|\n", data.decode()), 1) if line.strip()]
    assert [(number, record["text"]) for number, record in found] == expected


@given(st.text(st.sampled_from('ab,"\n\r é\0\x85\u2028'), max_size=60), st.integers(1, 4))
@example('a,"b\r\nc"\r\n"d"" ,e"\n\n\n', 1)
@example('a, "b\n,c"\n', 1)  # a quote behind a space opens nothing
@example('a "b\nc,"d\ne" f"\r"never closed\n', 1)
def test_csv_is_what_csv_reader_reads_of_the_whole(text: str, most: int) -> None:
    whole = [row for row in csv.reader(io.StringIO(text, newline="")) if row]
    assert list(csv_rows(text.encode(), most)) == whole
    tabs = text.replace(",", "\t")
    assert list(csv_rows(tabs.encode(), most, "\t")) == [
        row for row in csv.reader(io.StringIO(tabs, newline=""), "excel-tab") if row
    ]


@given(st.lists(st.tuples(FIELD, FIELD), max_size=12), st.integers(1, 4))
def test_csv_records_are_covered_once(rows: list[tuple[str, str]], most: int) -> None:
    quoted = [[field.replace('"', '""') for field in row] for row in rows]
    data = "".join(f'"{a}","{b}"\n' for a, b in quoted).encode()
    found: list[object] = []
    for part in records.ranges(records.lines(io.BytesIO(data)), most, ","):
        for _, record in records.csv_records(data[part.start : part.stop], part.first, ["a", "b"]):
            found.append(record)
    assert found == [{"a": a, "b": b} for a, b in rows]


def test_an_open_quote_ends_with_the_file() -> None:
    data = b'x,"never closed\nmore\nand more\n'
    [part] = records.ranges(records.lines(io.BytesIO(data)), 10, ",")
    assert (part.start, part.stop, part.records) == (0, len(data), 1)


@pytest.mark.parametrize("delimiter", [",", "\t"])
@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\n\n"])
def test_rows_that_an_open_quote_swallows_are_no_text(delimiter: str, end: str) -> None:
    data = f'a,b\n\nc,"d\ne,f\n\ng,h{end}'.replace(",", delimiter).encode()
    first, last = records.csv_records(data, 5, ["x", "y"], delimiter)
    assert first == (5, {"x": "a", "y": "b"})
    assert last[0] == 7
    assert isinstance(last[1], records.BadLine)
    assert last[1].reason == "a quote is opened and never closed"
    closed = data.rstrip() + b'"' + end.encode()
    assert [type(record) for _, record in records.csv_records(closed, 5, ["x", "y"], delimiter)] == [dict, dict]


def test_a_record_longer_than_the_buffer() -> None:
    data = b'a,"' + b"x\n" * 2**20 + b'"\r\nb,c\r\n'
    parts = list(records.ranges(records.lines(io.BytesIO(data)), 1, ","))
    assert [(part.stop, part.first) for part in parts] == [(len(data) - 5, 1), (len(data), 2**20 + 2)]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4), lambda inner: st.lists(inner, max_size=3)
)


@given(st.lists(st.dictionaries(st.text(max_size=3), VALUES, max_size=3), min_size=1), st.booleans(), st.booleans())
def test_json_elements_are_found_by_their_bytes(rows: list[dict[str, Any]], is_array: bool, indented: bool) -> None:
    text = [json.dumps(row, ensure_ascii=False, indent=2 if indented else None) for row in rows]
    data = (f"\n[{' , '.join(text)}]\n" if is_array else "\n".join(text)).encode()
    places = list(records.elements(data.decode("latin-1")))
    assert [json.loads(data[start:stop]) for start, stop in places] == rows
    inner = data[places[0][0] : places[-1][1]]
    assert list(records.json_elements(inner, 5)) == list(enumerate(rows, 5))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[{"a": 1}', "does not end with the file"),
        ('[{"a": 1}] [2]', "does not end with the file"),
        ('[{"a": 1}, {"a"]', "at byte 15: Expecting ':' delimiter"),
        ("[" * 200_000, "at byte 1: .*(recursion|overflow)"),  # the latter since Python 3.14
        ("no JSON", "at byte 0: Expecting value"),
    ],
)
def test_what_is_no_json(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        list(records.elements(text))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('{"text": "a", "text": "b"}', "the key 'text' comes twice"),
        ('{"text" : "a", "n": {"x": 1, "x": 1}}', "the key 'x' comes twice"),
        ('{"text": "10:30, \\"a\\": 1"}', {"text": '10:30, "a": 1'}),
        ('{"id": 18446744073709551617}', {"id": 2**64 + 1}),
        ('{"id": NaN}', "not valid JSON"),
        ("[1]", "not a JSON object"),
    ],
)
def test_a_line_of_json(line: str, expected: object) -> None:
    [(number, record)] = records.json_lines(line.encode(), 7)
    assert number == 7
    if isinstance(record, records.BadLine):
        assert record.reason.startswith(str(expected))
    else:
        assert record == expected


@pytest.mark.parametrize(("seconds", "words"), [(3.2, "3s"), (61, "1m01s"), (7260, "2h01m")])
def test_durations_in_words(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_progress_of_nothing() -> None:
    assert Progress(0, 0.0).line(1.0).startswith("0/0 rows 100.0%")
