"""Texts that are cut: a row a chunk, with its parent and its place there, and all that a run guarantees."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.corpus.run import CorpusOptions, embed_corpus, in_process
from app.errors import InvalidItem, InvalidRequest
from app.service.chunks import ChunkRule
from tests.support.corpus_fakes import CountingModel, DriverDied, Embed, dying_after, vector, written

LONG = "one two three four  five six seven"
TWO = ChunkRule(3, 1)
CHUNKS = ["one two three", "three four  five", "five six seven", "seven"]


def write(folder: Path, texts: list[str]) -> Path:
    (folder / "in.jsonl").write_text("\n".join(json.dumps({"id": f"d{i}", "text": t}) for i, t in enumerate(texts)))
    return folder / "in.jsonl"


def test_a_row_is_a_chunk_with_its_parent_and_place(embed: Embed, tmp_path: Path) -> None:
    summary = embed(write(tmp_path, ["short", LONG]), tmp_path / "out", chunks=TWO, id_column="id")
    rows = written(tmp_path / "out")
    assert [row["text"] for row in rows] == ["short", *CHUNKS]
    assert [(row["id"], row["parent"], row["chunk"]) for row in rows] == [
        ("d0", "d0", 0),
        *(("d1", "d1", n) for n in range(4)),
    ]
    assert [LONG[row["start"] : row["end"]] for row in rows[1:]] == CHUNKS
    assert [*rows[0]] == ["id", "text", "parent", "chunk", "start", "end", "embedding"]
    for row in rows:
        np.testing.assert_allclose(row["embedding"], vector(row["text"].encode()), atol=1e-6)
    manifest = json.loads((tmp_path / "out/_manifest.json").read_text())
    assert manifest["chunks"] == {"size": 3, "overlap": 1, "by": "tokens"}
    assert (summary["rows"], summary["embedded"], summary["rejects"]) == (5, 5, 0)


def test_without_an_id_a_parent_is_its_place(embed: Embed, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.txt").write_text("x\n\na b c d e")
    (tmp_path / "in/b.txt").write_text("y")
    embed(tmp_path / "in", tmp_path / "out", chunks=ChunkRule())
    a, b = tmp_path / "in/a.txt", tmp_path / "in/b.txt"
    assert [(row["parent"], row["text"]) for row in written(tmp_path / "out")] == [
        (f"{a}:1", "x"),
        (f"{a}:3", "a b c d"),
        (f"{a}:3", "e"),
        (f"{b}:1", "y"),
    ]


@pytest.mark.parametrize("parts", [1, 2])
def test_a_run_that_died_goes_on_and_equal_chunks_are_embedded_once(
    parts: int, embed: Embed, model: CountingModel, tmp_path: Path
) -> None:
    source = write(tmp_path, [LONG, "five six seven", *(f"w{i} a{i} b{i} c{i} d{i}" for i in range(30))])
    options = CorpusOptions(part_rows=10, chunks=TWO)
    with pytest.raises(DriverDied):
        embed_corpus(str(source), str(tmp_path / "out"), options, dying_after(parts, model.load))
    summary = embed(source, tmp_path / "out", chunks=TWO)
    assert len(model.seen) == len(set(model.seen))
    assert summary["rows"] == 4 + 2 + 90 == len(written(tmp_path / "out"))
    model.seen.clear()
    assert embed(source, tmp_path / "out", chunks=TWO)["embedded"] == 0
    assert embed(write(tmp_path, ["new", LONG]), tmp_path / "out", chunks=TWO)["embedded"] == 1
    assert model.seen == ["new"]


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (TWO, ChunkRule(4, 1), "holds chunks of {'size': 3, .*}, not chunks of {'size': 4"),
        (TWO, ChunkRule(3), "'overlap': 0"),
        (TWO, ChunkRule(3, 1, "sentences"), "'by': 'sentences'"),
        (TWO, ChunkRule(None, 1), "'size': None"),
        (TWO, None, "not whole texts"),
        (None, TWO, "holds whole texts"),
    ],
)
@pytest.mark.parametrize("finished", [True, False])
def test_a_resume_with_other_chunks_is_refused(
    before: Any, after: Any, words: str, finished: bool, embed: Embed, model: CountingModel, tmp_path: Path
) -> None:
    source = write(tmp_path, [LONG] * 25)
    if finished:
        embed(source, tmp_path / "out", chunks=before)
    else:
        options = CorpusOptions(part_rows=10, chunks=before)
        with pytest.raises(DriverDied):
            embed_corpus(str(source), str(tmp_path / "out"), options, dying_after(1, model.load))
    kept = {path: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    model.seen.clear()
    with pytest.raises(InvalidRequest, match=words):
        embed(source, tmp_path / "out", chunks=after)
    assert {path: path.read_bytes() for path in (tmp_path / "out").iterdir()} == kept
    assert model.seen == []
    assert embed(source, tmp_path / "out", chunks=before)["rows"] == 25 * (4 if before else 1)


def test_rejects_name_parent_and_chunk(embed: Embed, model: CountingModel, tmp_path: Path) -> None:
    texts = ["a b c poison d e", "  \n ", "x" * 70_000, "y " * 40_000, "", "odd"]
    model.odd = float("nan")
    for _ in range(2):
        summary = embed(write(tmp_path, texts), tmp_path / "out", chunks=ChunkRule(3))
        rejects = [json.loads(line) for line in (tmp_path / "out/_rejects.jsonl").read_text().splitlines()]
        assert [(one["row"], one["reason"]) for one in rejects] == [
            (5, "'text' is empty"),
            (2, "holds nothing but white space"),
            (3, "chunk 0 has more than 65536 bytes"),
            (1, "chunk 1: the model failed on it"),
            (6, "chunk 0: the model's vector is not finite: it holds NaN or infinity"),
        ]
        # A text beyond the limit of one that is embedded whole is cut.
        assert summary["rows"] == 1 + 13_334
    assert [row["text"] for row in written(tmp_path / "out")][:2] == ["a b c", "y y y"]
    with pytest.raises(InvalidItem, match="row 1: chunk 1: the model failed on it"):
        embed(write(tmp_path, texts[:1]), tmp_path / "strict", chunks=ChunkRule(3), strict=True)
    with pytest.raises(InvalidItem, match="row 2: holds nothing but white space"):
        embed(write(tmp_path, ["a", " "]), tmp_path / "strict", chunks=ChunkRule(3), strict=True)


def test_progress_counts_texts_and_not_their_chunks(model: CountingModel, tmp_path: Path) -> None:
    lines: list[str] = []
    options = CorpusOptions(part_rows=10, chunks=TWO)
    source = write(tmp_path, [LONG] * 25)
    for _ in range(2):
        embed_corpus(str(source), str(tmp_path / "out"), options, in_process(model.load), lines.append)
    assert [line.partition(" rows ")[0] for line in lines] == ["10/25", "20/25", "25/25"] * 2


def test_what_can_not_be_cut_is_refused(embed: Embed, model: CountingModel, tmp_path: Path) -> None:
    source = write(tmp_path, [LONG])
    with pytest.raises(InvalidRequest, match="`size` must be at most 256"):
        embed(source, tmp_path / "out", chunks=ChunkRule(300))
    with pytest.raises(InvalidRequest, match=r"in\.jsonl has no column 'key'"):
        embed(source, tmp_path / "out", chunks=TWO, id_column="key")
    for name in ("parent", "chunk", "start", "end"):
        (tmp_path / "other.jsonl").write_text(json.dumps({"text": "a", name: 1}))
        with pytest.raises(InvalidRequest, match=f"column named '{name}' already"):
            embed(tmp_path / "other.jsonl", tmp_path / "out", chunks=TWO)
        assert embed(tmp_path / "other.jsonl", tmp_path / f"whole-{name}")["rows"] == 1
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures/a.png").write_bytes(b"x")
    with pytest.raises(InvalidRequest, match="holds images; chunks"):
        embed(tmp_path / "pictures", tmp_path / "out", chunks=TWO)
    assert model.seen == ["a"] * 4


def test_a_matrix_has_the_chunks_places_beside_it(embed: Embed, tmp_path: Path) -> None:
    embed(write(tmp_path, ["short", LONG]), tmp_path / "out.npy", chunks=TWO, id_column="id")
    ids = [json.loads(line) for line in (tmp_path / "out.ids.jsonl").read_text().splitlines()]
    assert ids[:2] == [
        {"parent": "d0", "chunk": 0, "start": 0, "end": 5},
        {"parent": "d1", "chunk": 0, "start": 0, "end": 13},
    ]
    assert np.load(tmp_path / "out.npy").shape == (5, 8)
