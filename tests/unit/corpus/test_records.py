"""Ranges cover every record once, wherever they are cut."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.corpus import records as corpus_lines
from app.corpus.run import Progress, duration

FIELD = st.text(st.sampled_from('ab,"\n é'), max_size=8)


@given(st.lists(st.text(st.sampled_from("ab é\r"), max_size=5)), st.integers(1, 4), st.booleans())
def test_lines_are_covered_once(lines: list[str], most: int, last_end: bool) -> None:
    data = ("\n".join(lines) + ("\n" if last_end else "")).encode()
    found = []
    for part in corpus_lines.ranges(io.BytesIO(data), most, quoted=False):
        records = list(corpus_lines.text_records(data[part.start : part.stop], part.first_line, "text"))
        assert len(records) == part.records <= most
        found += records
    expected = [(i, line.removesuffix("\r")) for i, line in enumerate(data.decode().split("\n"), 1) if line.strip()]
    assert [(number, record["text"]) for number, record in found if isinstance(record, dict)] == expected


@given(st.lists(st.tuples(FIELD.filter(str.strip), FIELD), max_size=12), st.integers(1, 4))
def test_csv_records_are_covered_once(rows: list[tuple[str, str]], most: int) -> None:
    quoted = [[field.replace('"', '""') for field in row] for row in rows]
    data = "".join(f'"{a}","{b}"\n' for a, b in quoted).encode()
    found: list[object] = []
    for part in corpus_lines.ranges(io.BytesIO(data), most, quoted=True):
        for _, record in corpus_lines.csv_records(data[part.start : part.stop], part.first_line, ["a", "b"]):
            found.append(record)
    assert found == [{"a": a, "b": b} for a, b in rows]


def test_an_open_quote_ends_with_the_file() -> None:
    data = b'x,"never closed\nmore\nand more\n'
    [part] = corpus_lines.ranges(io.BytesIO(data), 10, quoted=True)
    assert (part.start, part.stop, part.records) == (0, len(data), 1)


@pytest.mark.parametrize(("seconds", "words"), [(3.2, "3s"), (61, "1m01s"), (7260, "2h01m")])
def test_durations_in_words(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_progress_of_nothing() -> None:
    assert Progress(0, 0.0).line(1.0).startswith("0/0 rows 100.0%")
