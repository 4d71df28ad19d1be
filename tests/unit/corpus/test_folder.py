"""A folder's files: each is read, or named with the reason why it is not."""

import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from app.corpus.source import plan
from app.errors import InvalidItem, InvalidRequest
from tests.support.corpus_fakes import Embed, written


def rejects(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "_rejects.jsonl").read_text().splitlines()]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/good.txt").write_text("one\ntwo\n")
    return tmp_path / "in"


def test_nothing_is_left_out_without_a_word(source: Path, embed: Embed, tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(source) + b"/caf\xe9.txt")).write_text("never read")
    (source / "notes.md").write_text("x")
    (source / "deep").mkdir()
    (source / "deep/more.txt").write_text("three\n")
    (source / "deep/loop").symlink_to(source)
    (source / "other").symlink_to(source / "deep/more.txt")
    (source / "gone.txt").symlink_to(source / "nothing")
    (source / "link.txt").symlink_to(source / "good.txt")
    (source / ".hidden.txt").write_text("x")
    (source / "_SUCCESS").write_text("")
    os.mkfifo(source / "pipe.txt")
    summary = embed(source, tmp_path / "out")
    assert [row["text"] for row in written(tmp_path / "out")] == ["three", "one", "two", "one", "two"]
    assert summary["hidden"] == [str(source / ".hidden.txt"), str(source / "_SUCCESS")]
    found = {reject["source"]: reject["reason"].partition(".")[0] for reject in rejects(tmp_path / "out")}
    assert found == {
        f"{source}/caf\\xe9.txt": "its name is not UTF-8: rename it",
        f"{source}/notes.md": "its suffix is unknown: it needs --format",
        f"{source}/other": "its suffix is unknown: it needs --format",
        f"{source}/deep/loop": "a link to a folder that contains it",
        f"{source}/gone.txt": "a broken link",
        f"{source}/pipe.txt": "not a file",
    }
    assert {reject["row"] for reject in rejects(tmp_path / "out")} == {None}
    assert (summary["rows"], summary["rejects"]) == (5, 6)
    assert embed(source, tmp_path / "out")["parts_written"] == 0


def test_a_name_that_is_no_utf8_alone(tmp_path: Path, embed: Embed) -> None:
    bad = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    bad.mkdir()
    (bad / "a.txt").write_text("one")
    with pytest.raises(InvalidRequest, match=r"no corpus; .*caf\\xe9: its name is not UTF-8"):
        embed(tmp_path, tmp_path / "out")
    with pytest.raises(InvalidRequest, match=r"caf\\xe9/a\.txt: its name is not UTF-8; rename it"):
        embed(bad / "a.txt", tmp_path / "out")


def test_strict_stops_at_a_file_that_cant_be_read(source: Path, embed: Embed, tmp_path: Path) -> None:
    (source / "notes.md").write_text("x")
    with pytest.raises(InvalidItem, match=r"notes\.md: its suffix is unknown"):
        embed(source, tmp_path / "out", strict=True)
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("format_", ["parquet", "csv", "jsonl"])
def test_columns_in_the_names_of_folders(format_: str, embed: Embed, tmp_path: Path) -> None:
    for place in ("year=2024/lang=en", "year=2025/lang=d%2Fe", "year=2025/lang=__HIVE_DEFAULT_PARTITION__", "plain"):
        folder = tmp_path / "in" / place
        folder.mkdir(parents=True)
        table = pa.table({"id": ["1", "2"], "text": [f"{place} a", f"{place} b"]})
        if format_ == "parquet":
            pq.write_table(table, folder / "part.parquet")
        elif format_ == "csv":
            (folder / "part.csv").write_text(
                "id,text\n" + "".join(f"{r['id']},{r['text']}\n" for r in table.to_pylist())
            )
        else:
            (folder / "part.jsonl").write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()))
    embed(tmp_path / "in", tmp_path / "out")
    found = {(row["id"], row["year"], row["lang"]) for row in written(tmp_path / "out")}
    assert found == {
        (id_, year, lang)
        for id_ in ("1", "2")
        for year, lang in ((2024, "en"), (2025, "d/e"), (2025, None), (None, None))
    }


def test_values_that_are_no_numbers_stay_as_they_are_written(embed: Embed, tmp_path: Path) -> None:
    for month, text in (("01", "a"), ("12", "b")):
        (tmp_path / f"in/month={month}").mkdir(parents=True)
        pq.write_table(pa.table({"text": [text], "day": [7]}), tmp_path / f"in/month={month}/p.parquet")
    embed(tmp_path / "in", tmp_path / "out")
    assert [(row["text"], row["month"]) for row in written(tmp_path / "out")] == [("a", "01"), ("b", "12")]
    # What is above the source is no column, and a column of the file goes before one of the folder.
    assert plan(str(tmp_path / "in/month=01"), "text", 10).partitions == {}
    (tmp_path / "in/day=1").mkdir()
    pq.write_table(pa.table({"text": ["c"], "day": [8]}), tmp_path / "in/day=1/p.parquet")
    embed(tmp_path / "in", tmp_path / "out")
    assert [row["day"] for row in written(tmp_path / "out")] == [8, 7, 7]


def test_names_of_columns_are_decoded_after_they_are_split(embed: Embed, tmp_path: Path) -> None:
    for folder, text in (("a%3Db=1%2F2", "a"), ("a%3Db=x=y", "b"), ("c d=%20e%25", "c")):
        (tmp_path / "in" / folder).mkdir(parents=True)
        pq.write_table(pa.table({"text": [text]}), tmp_path / "in" / folder / "p.parquet")
    embed(tmp_path / "in", tmp_path / "out")
    found = [{name: row[name] for name in ("text", "a=b", "c d")} for row in written(tmp_path / "out")]
    assert found == [
        {"text": "a", "a=b": "1/2", "c d": None},
        {"text": "b", "a=b": "x=y", "c d": None},
        {"text": "c", "a=b": None, "c d": " e%"},
    ]


def test_a_folder_named_as_the_vectors(embed: Embed, tmp_path: Path) -> None:
    (tmp_path / "in/embedding=1").mkdir(parents=True)
    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "in/embedding=1/p.parquet")
    with pytest.raises(InvalidRequest, match="'embedding' already"):
        embed(tmp_path / "in", tmp_path / "out")


def test_rows_without_a_column_have_that_of_their_folder(embed: Embed, tmp_path: Path) -> None:
    """Whatever rows of other files have."""
    for folder, rows in (
        ("year=2024", [{"text": "a"}, {"text": "b", "year": None}, {"text": "c", "year": 1999}]),
        ("year=x", [{"text": "d"}, {"year": 1}]),
        ("plain", [{"text": "e", "year": 2023.5}, {"text": "f"}]),
    ):
        (tmp_path / "in" / folder).mkdir(parents=True)
        (tmp_path / "in" / folder / "p.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for folders, years in (
        (("plain", "year=2024"), {"a": 2024.0, "b": None, "c": 1999.0, "e": 2023.5, "f": None}),
        (("year=2024",), {"a": 2024, "b": None, "c": 1999}),
        (("year=2024", "year=x"), {"a": "2024", "b": None, "c": "1999", "d": "x"}),
    ):
        source = tmp_path / "-".join(folders)
        source.mkdir()
        for folder in folders:
            (source / folder).symlink_to(tmp_path / "in" / folder)
        embed(source, tmp_path / f"out-{source.name}")
        found = written(tmp_path / f"out-{source.name}")
        assert {row["text"]: row["year"] for row in found} == years
        assert {type(row["year"]) for row in found} == {type(year) for year in years.values()}


def test_bytes_in_the_names_of_folders_that_are_no_utf8_stay_as_they_are_written(embed: Embed, tmp_path: Path) -> None:
    for folder in ("x=%E9", "x=%E8", "x=%C3%A9"):
        (tmp_path / "in" / folder).mkdir(parents=True)
        (tmp_path / "in" / folder / "p.txt").write_text(folder)
    embed(tmp_path / "in", tmp_path / "out")
    assert [row["x"] for row in written(tmp_path / "out")] == ["é", "%E8", "%E9"]
