"""Each format in, all of its columns and the vectors out."""

import json
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from app.corpus.run import CorpusOptions, embed_corpus, in_process
from app.errors import InvalidRequest
from app.vectors.quantization import bound
from loadtests.pictures import encode, noise
from tests.support.corpus_fakes import DIMENSIONS, CountingModel, Embed, vector, written

ROWS: list[dict[str, Any]] = [
    {"id": i, "text": f"text {i} of 'the' \"sea\", line", "score": i / 2 if i % 3 else None, "tags": ["a", str(i)]}
    for i in range(25)
]


def levels(vectors: Any) -> Any:
    """The middles of int8 levels."""
    return (vectors + 1.0) * bound(vectors.shape[1]) / 127.5


def write_parquet(folder: Path) -> Path:
    pq.write_table(pa.Table.from_pylist(ROWS), folder / "in.parquet", row_group_size=12)
    return folder / "in.parquet"


def write_jsonl(folder: Path) -> Path:
    (folder / "in.jsonl").write_text("\n".join(json.dumps(row) for row in ROWS))
    return folder / "in.jsonl"


@pytest.mark.parametrize("write", [write_parquet, write_jsonl])
def test_all_columns_and_one_vector_per_row(write: Any, embed: Embed, tmp_path: Path) -> None:
    summary = embed(write(tmp_path), tmp_path / "out")
    rows = written(tmp_path / "out")
    assert [{k: v for k, v in row.items() if k != "embedding"} for row in rows] == ROWS
    for row in rows:
        np.testing.assert_allclose(row["embedding"], vector(row["text"].encode()), atol=1e-6)
    assert (summary["rows"], summary["rejects"], summary["embedded"]) == (25, 0, 25)
    assert json.loads((tmp_path / "out/_summary.json").read_text()) == summary
    assert pq.read_schema(next((tmp_path / "out").glob("*.parquet"))).field("embedding").type == pa.list_(
        pa.float32(), DIMENSIONS
    )


def test_csv_with_quoted_line_ends(embed: Embed, tmp_path: Path) -> None:
    lines = ["name,text", *(f'n{i},"first {i}\nsecond, ""quoted"""' for i in range(23))]
    (tmp_path / "in.csv").write_text("\r\n".join(lines) + "\r\n")
    embed(tmp_path / "in.csv", tmp_path / "out")
    rows = written(tmp_path / "out")
    assert [(r["name"], r["text"]) for r in rows] == [(f"n{i}", f'first {i}\nsecond, "quoted"') for i in range(23)]


def test_lines_of_text_know_their_place(embed: Embed, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("\ufeffone\n\n" + "\n".join(f"line {i}" for i in range(30)))
    embed(tmp_path / "in.txt", tmp_path / "out", column="passage")
    rows = written(tmp_path / "out")
    assert [(r["line"], r["passage"]) for r in rows] == [(1, "one"), *((i + 3, f"line {i}") for i in range(30))]


def test_folder_of_images(embed: Embed, tmp_path: Path) -> None:
    (tmp_path / "in/deep").mkdir(parents=True)
    for i in range(12):
        (tmp_path / "in/deep" / f"{i:02}.png").write_bytes(encode(noise(4 + i, 5), "PNG"))
    (tmp_path / "in/notes.md").write_text("no image")
    embed(tmp_path / "in", tmp_path / "out")
    rows = written(tmp_path / "out")
    assert [row["path"] for row in rows] == [f"deep/{i:02}.png" for i in range(12)]
    np.testing.assert_allclose(rows[3]["embedding"], vector(encode(noise(7, 5), "PNG")), atol=1e-6)


def test_pictures_of_every_suffix_are_taken_for_images(embed: Embed, tmp_path: Path) -> None:
    """Whether Pillow can read them is each image's own question: nothing is dropped silently."""
    (tmp_path / "in").mkdir()
    names = ["a.JFIF", "b.jpe", "c.tif", "d.avif", "e.heic", "f.heif"]
    for name in names:
        (tmp_path / "in" / name).write_bytes(encode(noise(8, 5), "PNG"))
    embed(tmp_path / "in", tmp_path / "out")
    assert [row["path"] for row in written(tmp_path / "out")] == names
    assert (tmp_path / "out/_rejects.jsonl").read_text() == ""


def test_several_files_in_order(embed: Embed, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("b", "a"):
        (tmp_path / "in" / f"{name}.jsonl").write_text("\n".join(json.dumps({"text": f"{name}{i}"}) for i in range(12)))
    embed(tmp_path / "in", tmp_path / "out")
    assert [row["text"] for row in written(tmp_path / "out")] == [f"{name}{i}" for name in "ab" for i in range(12)]


def test_types_of_late_rows_count(embed: Embed, tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"text": f"t{i}", "n": None if i < 15 else 1.5, "mixed": i if i < 12 else "word"} for i in range(20)
    ]
    rows[18]["extra"] = {"deep": [1]}
    (tmp_path / "in.jsonl").write_text("\n".join(map(json.dumps, rows)))
    embed(tmp_path / "in.jsonl", tmp_path / "out")
    out = written(tmp_path / "out")
    assert [row["n"] for row in out] == [None] * 15 + [1.5] * 5
    assert [row["mixed"] for row in out][10:14] == ["10", "11", "word", "word"]
    assert out[18]["extra"] == {"deep": [1]}


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-6), ("float16", 1e-3), ("int8", 5e-3)])
def test_npy_with_ids(dtype: str, tolerance: float, embed: Embed, tmp_path: Path) -> None:
    summary = embed(write_jsonl(tmp_path), tmp_path / "out.npy", dtype=dtype, id_column="id")
    vectors = np.load(tmp_path / "out.npy")
    assert vectors.dtype == dtype
    assert (tmp_path / "out.ids.jsonl").read_text().split() == [str(i) for i in range(25)]
    unit = levels(vectors) if dtype == "int8" else vectors
    np.testing.assert_allclose(unit, np.stack([vector(row["text"].encode()) for row in ROWS]), atol=tolerance)
    assert summary["bytes"] > vectors.nbytes


def test_a_column_of_ids_that_is_not_there_is_refused_before_the_work(
    embed: Embed, model: CountingModel, tmp_path: Path
) -> None:
    (tmp_path / "in.csv").write_text("id,text\n1,a\n")
    (tmp_path / "in.txt").write_text("a\n")
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures/a.png").write_bytes(encode(noise(4, 5), "PNG"))
    for source in (
        write_jsonl(tmp_path),
        write_parquet(tmp_path),
        *map(tmp_path.joinpath, ("in.csv", "in.txt", "pictures")),
    ):
        with pytest.raises(InvalidRequest, match=r"no column 'key' for the ids\. Columns: (id|line|path)"):
            embed(source, tmp_path / "out.npy", id_column="key")
    assert model.seen == []
    assert not list(tmp_path.glob("*out*"))
    embed(tmp_path / "pictures", tmp_path / "out.npy", id_column="bytes")
    assert int((tmp_path / "out.ids.jsonl").read_text()) == (tmp_path / "pictures/a.png").stat().st_size


def test_ids_of_bytes(embed: Embed, tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["a", "b", "c"], "id": [b"key 1", b"\xff", None]}), tmp_path / "in.parquet")
    embed(tmp_path / "in.parquet", tmp_path / "out.npy", id_column="id")
    assert list(map(json.loads, (tmp_path / "out.ids.jsonl").read_text().splitlines())) == ["key 1", "\\xff", None]


def test_fewer_dimensions_have_length_one_again(embed: Embed, tmp_path: Path) -> None:
    embed(write_jsonl(tmp_path), tmp_path / "out.npy", dimensions=4)
    vectors = np.load(tmp_path / "out.npy")
    whole = np.stack([vector(row["text"].encode())[:4] for row in ROWS])
    np.testing.assert_allclose(vectors, whole / np.linalg.norm(whole, axis=1, keepdims=True), atol=1e-6)
    with pytest.raises(InvalidRequest, match="fake makes vectors of 8 dimensions, not 9"):
        embed(write_jsonl(tmp_path), tmp_path / "more.npy", dimensions=9)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("in.jsonl", '{"body": "x"}', "no column 'text'. Columns: body"),
        ("in.jsonl", '{"text": "x", "embedding": [1]}', "'embedding' already"),
        ("in.docx", "x", "Known suffixes"),
    ],
)
def test_invalid_sources_are_rejected_before_writing(
    name: str, content: str, words: str, embed: Embed, model: CountingModel, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InvalidRequest, match=words):
        embed(tmp_path / name, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert model.seen == []


def test_a_folder_of_somebody_else_is_left_alone(embed: Embed, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    write_parquet(tmp_path / "out")
    with pytest.raises(InvalidRequest, match="other files"):
        embed(write_jsonl(tmp_path), tmp_path / "out")
    assert (tmp_path / "out/in.parquet").exists()


@pytest.mark.parametrize("name", ["in", "in/a.jsonl"])
def test_from_and_to_any_fsspec_place(name: str, model: CountingModel) -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe("/corpus/in/a.jsonl", "\n".join(map(json.dumps, ROWS)).encode())
    try:
        options = CorpusOptions(part_rows=10)
        for embedded in (25, 0):
            found = embed_corpus(f"memory://corpus/{name}", "memory://corpus/out", options, in_process(model.load))
            assert (found["rows"], found["embedded"]) == (25, embedded)
        assert found["bytes"] > 25 * DIMENSIONS * 4
        files = sorted(file for file in memory.ls("/corpus/out", detail=False) if file.endswith(".parquet"))
        texts = [text for file in files for text in pq.read_table(file, filesystem=memory)["text"].to_pylist()]
        assert texts == [row["text"] for row in ROWS]
    finally:
        memory.rm("/corpus", recursive=True)
