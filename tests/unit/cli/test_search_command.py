"""`python -m app search` in a file, against a service that one can read; the real one is in `cluster`."""

import io
import json
import math
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from app.cli.result_line import json_line
from tests.support.command import LINES, World
from tests.support.talking import vector_of


def test_search_in_lines(world: World, lines: Path) -> None:
    code, out, err = world("search", LINES[123], lines, "--top-k", "3")
    assert code == 0, err
    equal = [line for line in LINES if vector_of(line) == vector_of(LINES[123])]
    assert len(equal) > 3
    assert out.splitlines() == [f"1.0000  {line}" for line in equal[:3]]
    assert err.startswith("700 rows in ")
    kinds = [world.service.body(request)["inputType"] for request in world.service.requests]
    assert sorted(kinds) == ["document", "document", "document", "query"]


def test_search_in_parts_is_search_as_a_whole(world: World, lines: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = world("search", "abc", lines, "--json", "--top-k", "20")[1]
    monkeypatch.setattr("app.cli.rows.PIECE_ROWS", 50)
    assert world("search", "abc", lines, "--json", "--top-k", "20")[1] == whole
    rows = [json.loads(line) for line in whole.splitlines()]
    assert [row["text"] for row in rows] == [LINES[row["line"] - 1] for row in rows]
    scores = [row["score"] for row in rows]
    assert scores == sorted(scores, reverse=True)


def test_search_in_json_lines_and_stdin(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    data = '{"t": "one", "id": 1}\n{bad\n{"t": "three\\nlines", "id": 2}\n'
    Path("in.jsonl").write_text(data)
    code, out, err = world("search", "three\nlines", "in.jsonl", "--column", "t", "--top-k", "1", "--json")
    assert (code, json.loads(out)) == (0, {"score": 1.0, "t": "three\nlines", "id": 2})
    assert "1 rows could not be read and were skipped" in err
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data.encode())))
    out = world("search", "three\nlines", "-", "--column", "t", "--format", "jsonl", "--top-k", "1")[1]
    assert out == "1.0000  three lines\n"


def test_search_in_what_embed_wrote(world: World, lines: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fresh = world("search", LINES[123], lines, "--json", "--top-k", "9")[1]
    assert world("embed", lines, "--out", "v.parquet")[0] == 0
    world.service.requests.clear()
    monkeypatch.setattr("app.corpus.vector_file._ROWS", 100)
    code, out, err = world("search", LINES[123], "v.parquet", "--json", "--top-k", "9")
    assert (code, out) == (0, fresh), err
    # Only the query was embedded, by the file's own model.
    [request] = world.service.requests
    assert world.service.body(request) == {"texts": [LINES[123]], "model": "makers/small", "inputType": "query"}
    world.service.space = "makers/small@2"
    code, out, err = world("search", LINES[123], "v.parquet")
    assert (code, out) == (2, "")
    assert "Embed the file again" in err


def test_search_in_vectors_that_are_no_floats(world: World, tmp_path: Path) -> None:
    vectors = pa.FixedSizeListArray.from_arrays(pa.array([1, 2, 3], pa.int8()), 3)
    about = {"embedding_model": "m", "embedding_space": "s"}
    pq.write_table(pa.table({"text": ["a"], "embedding": vectors}).replace_schema_metadata(about), "v.parquet")
    code, _, err = world("search", "a", "v.parquet")
    assert (code, "holds int8 vectors; search needs float32" in err) == (2, True)
    (tmp_path / "w.parquet").write_text("nothing of the kind")
    code, _, err = world("search", "a", "w.parquet")
    assert (code, "w.parquet is not a Parquet file" in err, "Traceback" in err) == (2, True, False)


@pytest.mark.parametrize(
    "column",
    [pa.array(["x"]), pa.array([1]), pa.array([[1.0, 2.0, 3.0]], pa.list_(pa.float32())), pa.nulls(1)],
    ids=lambda column: str(column.type),
)
def test_search_in_a_file_whose_vectors_were_changed(column: Any, world: World) -> None:
    about = {"embedding_model": "m", "embedding_space": "s"}
    pq.write_table(pa.table({"text": ["a"], "embedding": column}).replace_schema_metadata(about), "v.parquet")
    code, _, err = world("search", "a", "v.parquet")
    assert code == 2
    assert err.startswith(f"v.parquet holds {str(column.type)[:5]}")
    assert "vectors; search needs float32" in err


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("in.jsonl", b'{"text": ""}\n{bad\n', "in.jsonl, line 1: 'text' is empty."),
        ("in.txt", b"\xff\n", "in.txt, line 1: not UTF-8: invalid start byte at byte 0."),
        ("in.csv", b"id,text\n1\n", "in.csv, line 2: 1 fields, the header has 2."),
    ],
)
def test_nothing_to_search_is_a_failure(name: str, content: bytes, words: str, world: World) -> None:
    Path(name).write_bytes(content)
    code, out, err = world("search", "x", name)
    assert (code, out) == (1, "")
    assert err.startswith(f"{name} has no row that can be searched: ")
    assert err.endswith(f"{words}\n")


def test_columns_of_any_kind_are_printed_beside_the_score(world: World) -> None:
    columns = {
        "score": [0.5, 7.0],
        "bytes": [b"caf\xc3\xa9", b"\xff"],
        "n": [math.nan, math.inf],
        "far": pa.array([2**60, 0], pa.timestamp("us")),
    }
    pq.write_table(pa.table({"text": ["aa", "b"], **columns}), "in.parquet")
    expected = [
        {
            "score": 1.0, "text": "aa", "row.score": 0.5, "bytes": "café", "n": None,
            "far": "<value out of range: 1152921504606846976>",
        },
        {"row.score": 7.0, "text": "b", "bytes": "\\xff", "n": None, "far": "1970-01-01T00:00:00"},
    ]  # fmt: skip
    assert world("embed", "in.parquet", "--out", "v.parquet")[0] == 0
    for name in ("in.parquet", "v.parquet"):
        code, out, err = world("search", "aa", name, "--json")
        first, second = map(json.loads, out.splitlines())
        assert (code, first, second.pop("score") <= 1) == (0, expected[0], True), err
        assert second == expected[1]
    assert world("embed", "in.parquet", "--out", "v.jsonl")[0] == 0
    lines = [json.loads(line) for line in Path("v.jsonl").read_text().splitlines()]
    assert [(line["score"], line["bytes"], line["n"], line["far"]) for line in lines] == [
        (0.5, "café", None, expected[0]["far"]),
        (7.0, "\\xff", None, "1970-01-01T00:00:00"),
    ]


def test_a_line_of_two_rankings() -> None:
    line = json_line({"score": 0.0325, "ranks": {"dense": 2}}, {"text": "é", "ranks": [1], "score": None})
    assert line == '{"score":0.0325,"ranks":{"dense":2},"text":"é","row.ranks":[1],"row.score":null}'


def test_a_corpus_is_still_searched_as_one(world: World, tmp_path: Path) -> None:
    (tmp_path / "serve_config.yaml").write_text("applications: [{}]")
    code, _, err = world("search", "x", tmp_path)
    assert (code, "not a finished corpus" in err, world.service.requests) == (2, True, [])
