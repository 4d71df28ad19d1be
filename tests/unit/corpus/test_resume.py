"""What a second run does: nothing that is done already, and only what changed."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from app.corpus.run import CorpusOptions, embed_corpus
from app.errors import InvalidRequest
from app.vectors.quantization import bound, quantize
from tests.support.corpus_fakes import DIMENSIONS, CountingModel, DriverDied, Embed, dying_after, vector, written


def write(path: Path, texts: list[str]) -> Path:
    path.write_text("\n".join(json.dumps({"id": i, "text": text}) for i, text in enumerate(texts)))
    return path


TEXTS = [f"text {i}" for i in range(57)]


def test_a_driver_that_dies_loses_nothing_and_repeats_nothing(
    embed: Embed, model: CountingModel, tmp_path: Path
) -> None:
    source = write(tmp_path / "in.jsonl", TEXTS)
    with pytest.raises(DriverDied):
        embed_corpus(str(source), str(tmp_path / "out"), CorpusOptions(part_rows=10), dying_after(3, model.load))
    assert len(written(tmp_path / "out")) == 30
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("part-*")}
    summary = embed(source, tmp_path / "out")
    assert [row["text"] for row in written(tmp_path / "out")] == TEXTS
    assert (summary["rows"], summary["embedded"], summary["parts_written"]) == (57, 27, 3)
    assert sorted(model.seen) == sorted(TEXTS)  # each exactly once, over both runs
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_second_run_does_nothing(embed: Embed, model: CountingModel, tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", TEXTS)
    embed(source, tmp_path / "out")
    model.seen.clear()
    summary = embed(source, tmp_path / "out")
    assert model.seen == []
    assert (summary["rows"], summary["embedded"], summary["parts_written"]) == (57, 0, 0)


def test_only_changed_rows_are_embedded_again(embed: Embed, model: CountingModel, tmp_path: Path) -> None:
    embed(write(tmp_path / "in.jsonl", TEXTS), tmp_path / "out")
    model.seen.clear()
    changed = ["new first", *TEXTS[:20], "new middle", *TEXTS[22:]]  # every row moves, two are new, two are gone
    summary = embed(write(tmp_path / "in.jsonl", changed), tmp_path / "out")
    assert sorted(model.seen) == ["new first", "new middle"]
    assert summary["embedded"] == 2
    assert [row["text"] for row in written(tmp_path / "out")] == changed


def test_another_column_of_a_row_changes_without_embedding(embed: Embed, model: CountingModel, tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", TEXTS)
    embed(source, tmp_path / "out")
    model.seen.clear()
    source.write_text(source.read_text().replace('"id": 5,', '"id": 500,'))
    summary = embed(source, tmp_path / "out")
    assert model.seen == []
    assert summary["parts_written"] == 1
    assert written(tmp_path / "out")[5]["id"] == 500


def test_another_model_or_type_starts_anew(embed: Embed, model: CountingModel, tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", TEXTS)
    embed(source, tmp_path / "out")
    embed(source, tmp_path / "out", dtype="float16")
    model.fingerprint = "fake-2"
    summary = embed(source, tmp_path / "out", dtype="float16")
    assert len(model.seen) == 3 * 57
    assert summary["fingerprint"] == "fake-2"
    assert len(written(tmp_path / "out")) == 57


def test_the_summary_counts_the_truncated_texts_that_were_embedded(
    embed: Embed, model: CountingModel, tmp_path: Path
) -> None:
    source = write(tmp_path / "in.jsonl", ["a long text", "b", "a long text", "another long one"])
    assert embed(source, tmp_path / "out")["truncated"] == 2
    assert embed(source, tmp_path / "out")["truncated"] == 0  # nothing is embedded
    write(source, ["b", "c"])
    assert embed(source, tmp_path / "other")["truncated"] == 0


def test_equal_texts_of_a_part_are_embedded_once(embed: Embed, model: CountingModel, tmp_path: Path) -> None:
    summary = embed(write(tmp_path / "in.jsonl", ["same", "other"] * 5), tmp_path / "out")
    assert sorted(model.seen) == ["other", "same"]
    assert (summary["rows"], summary["embedded"]) == (10, 2)


def test_what_a_killed_process_left_half_written_is_swept(embed: Embed, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/_tmp-0123").write_bytes(b"half")
    embed(write(tmp_path / "in.jsonl", TEXTS), tmp_path / "out")
    assert not list((tmp_path / "out").glob("_tmp-*"))
    assert pq.read_table(tmp_path / "out").num_rows == 57


def test_int8_says_its_range_and_another_one_is_refused(embed: Embed, tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", TEXTS)
    limit = float(bound(DIMENSIONS))
    embed(source, tmp_path / "out", dtype="int8")
    assert json.loads((tmp_path / "out/_manifest.json").read_text())["range"] == [-limit, limit]
    for part in (tmp_path / "out").glob("*.parquet"):
        assert json.loads(pq.read_schema(part).metadata[b"embedding_range"]) == [-limit, limit]
    units = np.stack([vector(text.encode()) for text in TEXTS])
    np.testing.assert_array_equal([row["embedding"] for row in written(tmp_path / "out")], quantize(units, "int8"))
    assert embed(source, tmp_path / "out", dtype="int8")["parts_written"] == 0
    # Other dimensions or types are other vectors, and start anew.
    embed(source, tmp_path / "out", dtype="int8", dimensions=4)
    embed(source, tmp_path / "out")
    assert json.loads((tmp_path / "out/_manifest.json").read_text())["range"] is None

    for name in ("manifest", "parts", "earlier"):
        out = tmp_path / name
        embed(source, out, dtype="int8")
        if name == "manifest":
            manifest = json.loads((out / "_manifest.json").read_text())
            (out / "_manifest.json").write_text(json.dumps(manifest | {"range": [-0.5, 0.5]}))
        else:
            (out / "_manifest.json").unlink()
            for part in out.glob("*.parquet"):
                table = pq.read_table(part)
                other = {b"embedding_range": b"[-0.5, 0.5]"} if name == "parts" else {}
                metadata = {key: value for key, value in table.schema.metadata.items() if key != b"embedding_range"}
                pq.write_table(table.replace_schema_metadata(metadata | other), part)
        words = "that earlier versions used" if name == "earlier" else r"\[-0.5, 0.5\]"
        with pytest.raises(InvalidRequest, match=f"int8 of the range {words}.*choose a new folder"):
            embed(source, out, dtype="int8")
        assert embed(source, out, dtype="float16")["rows"] == len(TEXTS)


def test_the_matrix_of_int8_has_its_range_beside_it(embed: Embed, tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", TEXTS)
    embed(source, tmp_path / "v.npy", dtype="int8")
    limit = float(bound(DIMENSIONS))
    facts = json.loads((tmp_path / "v.range.json").read_text())
    assert facts == {"dtype": "int8", "dimensions": DIMENSIONS, "range": [-limit, limit]}
    embed(source, tmp_path / "v.npy")
    assert not (tmp_path / "v.range.json").exists()
