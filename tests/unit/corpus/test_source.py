"""What a file is decides what is read of it; what can't be read is refused before any work, by its name."""

import codecs
import gzip
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.feather
import pyarrow.orc
import pyarrow.parquet as pq
import pytest

from app.corpus.source import plan
from app.errors import InvalidRequest
from tests.support.corpus_fakes import CountingModel, Embed, written

ROWS = [{"id": str(i), "text": f"text {i}"} for i in range(25)]
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12345\n"


def texts(folder: Path) -> list[str]:
    return [row["text"] for row in written(folder)]


def parquet(table: Any, **options: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    return sink.getvalue()


GOOD = parquet(pa.table({"text": [f"text {i}" for i in range(5000)]}), write_page_checksum=True)


def zipped() -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>" * 100)
    return sink.getvalue()


def columnar(write: Callable[..., None]) -> bytes:
    sink = io.BytesIO()
    write(pa.table({"text": ["a"]}), sink)
    return sink.getvalue()


CSV = b'id,text\n1,a 5" disk\n2,"two\nlines"\n3,6" tall\n4,"x, ""y"""\n'
ARRAY = json.dumps(ROWS[:4], indent=1).encode()


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("in.csv", CSV, ['a 5" disk', "two\nlines", '6" tall', 'x, "y"']),
        ("in.csv", CSV.replace(b"\n", b"\r"), ['a 5" disk', "two\rlines", '6" tall', 'x, "y"']),
        ("in.csv", CSV.replace(b"\n", b"\r\n"), ['a 5" disk', "two\r\nlines", '6" tall', 'x, "y"']),
        ("in.csv", codecs.BOM_UTF8 + b'"text","id"\na,1\n\n\r\n', ["a"]),
        ("in.csv", b'\n\n"te""xt",text\n1,a\n', ["a"]),
        ("in.csv", b"text," + b"x" * 300_000 + b"\na,b\n", ["a"]),
        ("in.csv", b"text\n  \na\n\n", ["  ", "a"]),
        ("in.tsv", b'id\ttext\n1\ta, b\n2\t"c\td"\n', ["a, b", "c\td"]),
        ("in.txt", b"one\rtwo\r\nthree\n\nfour", ["one", "two", "three", "four"]),
        ("in.txt", codecs.BOM_UTF8 + b"one\n", ["one"]),
        ("in.jsonl", b'{"text": "a"}\r{"text": "b"}\r\n\n{"text": "c"}', ["a", "b", "c"]),
        ("in.jsonl", codecs.BOM_UTF8 + b'{"text": "a"}\n', ["a"]),
        ("in.json", ARRAY, ["text 0", "text 1", "text 2", "text 3"]),
        (
            "in.json",
            codecs.BOM_UTF8 + ARRAY.replace(b"text 0", "tëxt".encode()),
            ["tëxt", "text 1", "text 2", "text 3"],
        ),
        ("in.json", b'{"text": "a"}\n{"text": "b"}\n', ["a", "b"]),
        ("in.JSON", b'{"text":\n "a"}', ["a"]),
    ],
)
@pytest.mark.parametrize("part_rows", [1, 3, 10])
def test_files_of_each_format_are_read(
    name: str, content: bytes, expected: list[str], part_rows: int, embed: Embed, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    summary = embed(tmp_path / name, tmp_path / "out", part_rows=part_rows)
    assert texts(tmp_path / "out") == expected
    assert (summary["rows"], summary["rejects"]) == (len(expected), 0)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("in.csv", b"id,text,text\n1,a,b\n", "two columns named 'text'; rename one"),
        ("in.csv", b"text,,\na,b,c\n", "two columns named ''"),
        ("in.csv", b"id;text\n1;a\n", "separates its columns by ';'"),
        ("in.csv", b"id\ttext\n1\ta\n", r"separates its columns by '\\t': --format csv and tsv"),
        ("in.tsv", b"id,text\n1,a\n", "separates its columns by ','"),
        ("in.csv", b"id,text,caf\xe9\n1,a,b\n", "in.csv is damaged: 'utf-8' codec can't decode byte 0xe9"),
        ("in.csv", b'id,"text\n' + b"1,a\n" * 999, "in.csv is damaged: a quote is opened and never closed: 'id,text"),
        ("in.csv", "id,text\n1,a\n".encode("utf-16"), "is UTF-16 text"),
        ("in.csv", "id,text\n1,a\n".encode("utf-32"), "is UTF-32 text"),
        ("in.jsonl", '{"text": "a"}\n'.encode("utf-16-le"), "binary, or text that is not UTF-8"),
        ("in.txt", "one".encode("utf-16-be"), "binary, or text that is not UTF-8"),
        ("in.csv", gzip.compress(b"text\na\n", mtime=0), "compressed: decompress it first"),
        ("in.jsonl", pa.compress(b'{"text": "a"}\n' * 9, "zstd", asbytes=True), "compressed: decompress it first"),
        ("in.csv.gz", gzip.compress(b"text\na\n", mtime=0), "compressed: decompress it first"),
        ("in.xlsx", zipped(), "a ZIP archive, as .xlsx .* Known suffixes"),
        ("in.txt", zipped(), "a ZIP archive, as .xlsx"),
        ("in.csv", LFS, "a Git LFS pointer"),
        ("in.txt", GOOD, "a Parquet file"),
        ("in.txt", b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n1 0 obj\nendobj\n", "a PDF document"),
        ("in.txt", b"\x89PNG\r\n\x1a\n" + bytes(range(1, 200)), "an image"),
        ("in.csv", b"\xff\xd8\xff\xe0text\na\n", "an image"),
        ("in.txt", b"\x04\x22\x4d\x18d@\xa7 \0\0\0" + b"a line of text\n" * 9, "compressed: decompress it first"),
        ("in.jsonl", b'\n[\n{"text": "a"},\n{"text": "b"}\n]\n', "a JSON array: --format json reads it"),
        ("in.json", b'[{"text": "a"}, {"text"', "in.json is damaged: not valid JSON at byte 23: Expecting"),
        ("in.json", b'[{"text": "a"}', "does not end with the file"),
        ("in.json", b'{"data": [{"text": "a"}]}', "no column 'text'. Columns: data"),
        ("in.json", b'{"text": ["a", "b"], "id": [1, 2]}', r"'text' of .*in\.json holds list<.*string>, not text"),
        ("in.jsonl", b'{"text": 7}\n{"text": null}\n', r"Column 'text' of .*in\.jsonl holds int64, not text"),
        ("in.jsonl", b'{"text": {"en": "a"}}\n', "struct<en: string>, not text"),
        ("in.parquet", parquet(pa.table({"body": ["a"]})), r"in\.parquet has no column 'text'\. Columns: body"),
        ("in.parquet", b"", "is not a Parquet file, but empty"),
        ("in.parquet", LFS, "but a Git LFS pointer .*: run `git lfs pull`"),
        ("in.parquet", GOOD[: len(GOOD) // 2], "one that is cut off"),
        ("in.parquet", GOOD[len(GOOD) // 2 :], "is not a Parquet file"),
        ("in.parquet", b"PAR1" + b"\0" * 99 + b"PAR1", "is damaged: .*thrift"),
        ("in.parquet", b"PARE" + GOOD[4:-4] + b"PARE", "but an encrypted Parquet file"),
        ("in.parquet", columnar(pa.orc.write_table), "but an ORC file"),
        ("in.parquet", columnar(pa.feather.write_feather), "but an Arrow file"),
        ("in.parquet", b"text\na\n", "is not a Parquet file, but something else"),
        ("in.parquet", parquet(pa.Table.from_arrays([pa.array(["a"])] * 2, ["text"] * 2)), "two columns named 'text'"),
        ("in.parquet", parquet(pa.table({"text": pa.array([b"abcd"], pa.binary(4))})), "fixed_size_binary.*not text"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("in_folder", [False, True])
def test_unreadable_files_are_refused(
    name: str, content: bytes, words: str, in_folder: bool, embed: Embed, model: CountingModel, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / name).write_bytes(content)
    with pytest.raises(InvalidRequest, match=words if not in_folder or name.endswith("parquet") else None) as caught:
        embed(tmp_path / "in" if in_folder else tmp_path / "in" / name, tmp_path / "out")
    assert caught.value.status == 400
    assert name in str(caught.value) or "column 'text'" in str(caught.value).lower()
    assert len(str(caught.value).splitlines()) == 1
    assert not (tmp_path / "out").exists()
    assert model.seen == []


@pytest.mark.parametrize("at", [300, len(GOOD) // 3])
def test_a_damaged_page_is_refused_by_the_name_of_its_file(at: int, embed: Embed, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.parquet").write_bytes(GOOD)
    damaged = bytearray(GOOD)
    damaged[at : at + 40] = bytes(40)
    (tmp_path / "in/b.parquet").write_bytes(damaged)
    with pytest.raises(InvalidRequest, match=r"in/b\.parquet is damaged: .*checksum"):
        embed(tmp_path / "in", tmp_path / "out")
    (tmp_path / "in/b.parquet").unlink()
    assert embed(tmp_path / "in", tmp_path / "out")["rows"] == 5000


def test_single_nul_bytes_reject_their_rows(embed: Embed, tmp_path: Path) -> None:
    for name, content in (
        ("in.txt", b"one, quite long\nt\0wo\nthree\n"),
        ("in.csv", b"id,text\n1,one\n2,t\0wo\n3,three\n"),
    ):
        (tmp_path / name).write_bytes(content)
        summary = embed(tmp_path / name, tmp_path / f"out-{name}")
        assert (summary["rows"], summary["rejects"]) == (2, 1)
        [reject] = map(json.loads, (tmp_path / f"out-{name}/_rejects.jsonl").read_text().splitlines())
        assert reject["reason"] == "not text: it contains a NUL byte"


def test_a_json_array_keeps_columns_types_and_places(embed: Embed, tmp_path: Path) -> None:
    rows: list[Any] = [
        {"text": "a", "n": 1},
        7,
        {"text": "b", "n": 2.5},
        {"text": "", "n": None},
        {"text": "c", "x": {}},
    ]
    (tmp_path / "in.json").write_text(json.dumps(rows))
    embed(tmp_path / "in.json", tmp_path / "out", part_rows=2)
    found = [{name: row[name] for name in ("text", "n", "x")} for row in written(tmp_path / "out")]
    assert found == [
        {"text": "a", "n": 1.0, "x": None}, {"text": "b", "n": 2.5, "x": None}, {"text": "c", "n": None, "x": "{}"},
    ]  # fmt: skip
    rejects = [json.loads(line) for line in (tmp_path / "out/_rejects.jsonl").read_text().splitlines()]
    assert [(reject["row"], reject["reason"]) for reject in rejects] == [
        (1, "not a JSON object"),
        (3, "'text' is empty"),
    ]


def test_a_format_that_is_named_goes_before_the_ending(tmp_path: Path) -> None:
    (tmp_path / "in.dat").write_text('{"text": "a"}\n')
    (tmp_path / "more.txt").write_text('{"text": "b"}\n')
    assert (plan(str(tmp_path), "text", 10, "jsonl").format, plan(str(tmp_path), "text", 10, "jsonl").rows) == (
        "jsonl",
        2,
    )
    assert plan(str(tmp_path / "more.txt"), "text", 10).format == "text"


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "in.csv").write_text("text\na\n")

    def refused(*_: object) -> None:
        raise PermissionError(13, "Failed to open local file. Detail: ...")

    monkeypatch.setattr("app.corpus.filesystem.Place.open", refused)
    with pytest.raises(InvalidRequest, match=r"in\.csv can not be read: Permission denied\."):
        plan(str(tmp_path / "in.csv"), "text", 10)
