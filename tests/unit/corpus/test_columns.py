"""Columns of any type reach the output, or become JSON text; which one is decided before the work."""

import datetime
import decimal
import json
import uuid
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from app.corpus.schema import as_json_type, python_rows
from tests.support.corpus_fakes import Embed, written

TEXTS = ["one", "two", ""]


@pytest.mark.parametrize(
    "kind",
    [
        pa.string_view(),
        pa.binary_view(),
        pa.large_string(),
        pa.binary(),
        pa.large_binary(),
        pa.dictionary(pa.int8(), pa.string()),
        pa.dictionary(pa.int32(), pa.large_string()),
    ],
    ids=str,
)
def test_text_in_every_type(kind: Any, embed: Embed, tmp_path: Path) -> None:
    values: list[Any] = [text.encode() for text in TEXTS] if "binary" in str(kind) else TEXTS
    column = pa.array(values).dictionary_encode().cast(kind) if "dictionary" in str(kind) else pa.array(values, kind)
    pq.write_table(pa.table({"text": column}), tmp_path / "in.parquet")
    for _ in range(2):
        summary = embed(tmp_path / "in.parquet", tmp_path / "out")
        assert [row["text"] for row in written(tmp_path / "out")] == ["one", "two"]
        assert (summary["rows"], summary["rejects"]) == (2, 1)
    assert (summary["embedded"], summary["parts_written"]) == (0, 0)


def test_a_column_without_a_type_has_no_texts(embed: Embed, tmp_path: Path) -> None:
    """What pandas writes of a part whose texts are all missing."""
    (tmp_path / "in").mkdir()
    pq.write_table(pa.table({"text": ["one"]}), tmp_path / "in/a.parquet")
    pq.write_table(pa.table({"text": pa.nulls(2)}), tmp_path / "in/b.parquet")
    for _ in range(2):
        summary = embed(tmp_path / "in", tmp_path / "out")
        assert [row["text"] for row in written(tmp_path / "out")] == ["one"]
        assert (summary["rows"], summary["rejects"]) == (1, 2)


def test_json_of_arrow_is_text(embed: Embed, tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": pa.array(['{"a": 1}', None], pa.json_())}), tmp_path / "in.parquet")
    embed(tmp_path / "in.parquet", tmp_path / "out")
    assert [row["text"] for row in written(tmp_path / "out")] == ['{"a": 1}']


def test_bytes_that_are_no_text_reject_their_rows(embed: Embed, tmp_path: Path) -> None:
    for kind in (pa.binary(), pa.string()):
        column = pa.array([b"good", b"caf\xe9"], pa.binary())
        strings = pa.Array.from_buffers(kind, 2, column.buffers())
        pq.write_table(pa.table({"text": strings}), tmp_path / "in.parquet")
        embed(tmp_path / "in.parquet", tmp_path / f"out-{kind}")
        assert [row["text"] for row in written(tmp_path / f"out-{kind}")] == ["good"]
        [reject] = map(json.loads, (tmp_path / f"out-{kind}/_rejects.jsonl").read_text().splitlines())
        assert (reject["row"], reject["reason"]) == (1, "'text' is not UTF-8")


def test_other_columns_beside_a_rejected_row(embed: Embed, tmp_path: Path) -> None:
    moment = datetime.datetime(2024, 5, 1, 12, 30, 15, 250, datetime.UTC)
    columns = {
        "view": pa.array(["a", None, "c"], pa.string_view()),
        "bytes": pa.array([b"a", None, b"\xff"], pa.binary_view()),
        "fixed": pa.array([b"abcd", None, b"efgh"], pa.binary(4)),
        "views": pa.array([["a"], None, ["b", None]], pa.list_(pa.string_view())),
        "struct": pa.array([{"v": "a"}, None, {"v": None}], pa.struct([("v", pa.string_view())])),
        "map": pa.array([[("k", "v")], None, []], pa.map_(pa.string(), pa.string_view())),
        "nested": pa.array([[[1], []], None, [[2, None]]]),
        "decimal": pa.array([decimal.Decimal("1.50"), None, decimal.Decimal("-2.25")]),
        "moment": pa.array([moment, None, moment], pa.timestamp("us", "UTC")),
        "day": pa.array([moment.date(), None, moment.date()]),
        "category": pa.array(["x", None, "y"]).dictionary_encode(),
        "uuid": pa.array([uuid.UUID(int=1).bytes, None, uuid.UUID(int=2).bytes], pa.uuid()),
        "pairs": pa.array([["a", "b"], None, [None, "c"]], pa.list_(pa.string_view(), 2)),
        "large": pa.array([[1], None, [2]], pa.large_list(pa.int64())),
    }
    table = pa.table({"text": ["one", None, "three"], **columns})
    pq.write_table(table, tmp_path / "in.parquet")
    embed(tmp_path / "in.parquet", tmp_path / "out")
    found = written(tmp_path / "out")
    for name in columns:
        assert [row[name] for row in found] == [table[name][0].as_py(), table[name][2].as_py()], name


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([{}, {}], ["{}", "{}"]),
        ([{"a": {}}, None], ['{"a":{}}', None]),
        ([[{}], []], ["[{}]", "[]"]),
        ([{}, {"a": 1}], [{"a": None}, {"a": 1}]),
        ([{"a": 1}, {"a": 1.5}], [{"a": 1.0}, {"a": 1.5}]),
        ([{"a": 1}, {"a": "x"}], ['{"a":1}', '{"a":"x"}']),
        ([[1], ["x"]], ["[1]", '["x"]']),
        ([{"a": [1]}, {"a": [0.5], "b": None}], [{"a": [1.0], "b": None}, {"a": [0.5], "b": None}]),
        ([2**60 + 1, 0.5], [str(2**60 + 1), "0.5"]),
        ([2**53, 0.5], [float(2**53), 0.5]),
        ([2**60 + 1, 7], [2**60 + 1, 7]),
        ([{"a": 2**60 + 1}, {"a": 0.5}], [f'{{"a":{2**60 + 1}}}', '{"a":0.5}']),
        ([2**64 + 1, 7], [str(2**64 + 1), "7"]),
        ([{"a": 10**30}, None], [f'{{"a":{10**30}}}', None]),
        ([True, 1], ["true", "1"]),
        ([json.loads("[" * 100 + "]" * 100), None], ["[" * 100 + "]" * 100, None]),
        ([None, None], [None, None]),
    ],
)
@pytest.mark.parametrize("part_rows", [1, 10])
def test_json_columns(values: list[Any], expected: list[Any], part_rows: int, embed: Embed, tmp_path: Path) -> None:
    rows = [{"text": f"t{i}", "x": value} for i, value in enumerate(values)]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    embed(tmp_path / "in.jsonl", tmp_path / "out", part_rows=part_rows)
    assert [row["x"] for row in written(tmp_path / "out")] == expected


def strings(*values: bytes) -> Any:
    """Of bytes that nobody has looked at, as some writers of Parquet leave them."""
    column = pa.array(values, pa.binary())
    return pa.Array.from_buffers(pa.string(), len(column), column.buffers())


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (strings(b"caf\xe9", b"good"), ["caf\ufffd", "good"]),
        (
            pa.array([2**60, 0], pa.timestamp("us")),
            ["<value out of range: 1152921504606846976>", datetime.datetime(1970, 1, 1)],
        ),
        (pa.array([2**30, None], pa.date32()), ["<value out of range: 1073741824>", None]),
        (pa.array([0, None], pa.timestamp("us", "No/Where")), ["1970-01-01 00:00:00.000000Z", None]),
        (pa.array([2**62, 1], pa.duration("s")), [str(2**62), datetime.timedelta(seconds=1)]),
        (pa.ListArray.from_arrays(pa.array([0, 1, 2]), strings(b"\xff", b"a")), ['["\ufffd"]', ["a"]]),
    ],
    ids=lambda value: str(getattr(value, "type", "")),
)  # fmt: skip
def test_what_python_can_not_hold_is_as_arrow_prints_it(column: Any, expected: list[Any]) -> None:
    table = pa.table({"text": ["a", "b"], "x": column, "n": [1, 2]})
    assert python_rows(table) == [
        {"text": "a", "x": expected[0], "n": 1},
        {"text": "b", "x": expected[1], "n": 2},
    ]


def test_bytes_in_json() -> None:
    found = [as_json_type(value) for value in (b"caf\xc3\xa9", b"\xff1", decimal.Decimal("1.50"))]
    assert found == ["café", "\\xff1", "1.50"]
