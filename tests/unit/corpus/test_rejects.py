"""Bad rows: left out and told, or the end of a strict run."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from app.errors import InvalidItem
from tests.support.corpus_fakes import CountingModel, Embed, written

LINES = [
    '{"text": "good"}',
    "{not json",
    '["a list"]',
    '{"text": ""}',
    '{"other": 1}',
    '{"text": 7}',
    '{"text": "poison"}',
    json.dumps({"text": "x" * 70_000}),
    '{"text": "also good"}',
]
REASONS = {
    2: "not valid JSON",
    3: "not a JSON object",
    4: "'text' is empty",
    5: "'text' is missing",
    6: "'text' is not text",
    7: "the model failed on it",
    8: "'text' has more than 65536 bytes",
}


def rejects(folder: Path) -> dict[int, str]:
    records = [json.loads(line) for line in (folder / "_rejects.jsonl").read_text().splitlines()]
    return {record["row"]: record["reason"] for record in records}


def test_bad_lines_are_told_with_their_place_and_reason(embed: Embed, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text("\n".join(LINES))
    for _ in range(2):  # the second run finds everything done and tells the same
        summary = embed(tmp_path / "in.jsonl", tmp_path / "out", part_rows=4)
        found = rejects(tmp_path / "out")
        assert found.keys() == REASONS.keys()
        assert all(found[row].startswith(words) for row, words in REASONS.items())
        assert (summary["rows"], summary["rejects"]) == (2, 7)
        assert [row["text"] for row in written(tmp_path / "out")] == ["good", "also good"]


def test_bad_bytes_and_fields_of_a_csv(embed: Embed, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_bytes(b"id,text\n1,fine\n2\n3,\xff\xfe\n4,good\n5,too,many\n")
    embed(tmp_path / "in.csv", tmp_path / "out")
    assert rejects(tmp_path / "out") == {
        3: "1 fields, the header has 2",
        4: "not UTF-8",
        6: "3 fields, the header has 2",
    }
    assert [row["text"] for row in written(tmp_path / "out")] == ["fine", "good"]


def test_rows_of_parquet_are_counted_through_the_file(embed: Embed, tmp_path: Path) -> None:
    texts = [None if i in (3, 17, 24) else f"t{i}" for i in range(30)]
    pq.write_table(pa.table({"text": texts}), tmp_path / "in.parquet", row_group_size=14)
    embed(tmp_path / "in.parquet", tmp_path / "out", part_rows=5)
    assert set(rejects(tmp_path / "out")) == {3, 17, 24}
    assert [row["text"] for row in written(tmp_path / "out")] == [text for text in texts if text]


def test_strict_stops_and_a_mended_corpus_goes_on(embed: Embed, model: CountingModel, tmp_path: Path) -> None:
    good = [json.dumps({"text": f"t{i}"}) for i in range(10)]
    (tmp_path / "in.jsonl").write_text("\n".join([*good, "{bad"]))
    with pytest.raises(InvalidItem, match=r"in.jsonl, row 11: not valid JSON"):
        embed(tmp_path / "in.jsonl", tmp_path / "out", strict=True)
    assert not (tmp_path / "out/_manifest.json").exists()
    (tmp_path / "in.jsonl").write_text("\n".join([*good, '{"text": "mended"}']))
    assert embed(tmp_path / "in.jsonl", tmp_path / "out", strict=True)["rows"] == 11
    assert sorted(model.seen) == sorted([*(f"t{i}" for i in range(10)), "mended"])


def test_strict_stops_at_what_the_model_fails_on(embed: Embed, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"text": "good"}\n{"text": "poison"}')
    with pytest.raises(InvalidItem, match="row 2: the model failed"):
        embed(tmp_path / "in.jsonl", tmp_path / "out", strict=True)


@pytest.mark.parametrize("name", ["out", "out.npy"])
def test_all_rows_rejected_leave_the_rejects_only(name: str, embed: Embed, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("poison 1\npoison 2\nbad\0\n")
    folder = tmp_path / ("out" if name == "out" else "_out.parts")
    for _ in range(2):
        with pytest.raises(InvalidItem, match=r"All 3 rows were rejected: .*/_rejects\.jsonl says why"):
            embed(tmp_path / "in.txt", tmp_path / name, part_rows=2)
        assert [file.name for file in folder.iterdir()] == ["_rejects.jsonl"]
        assert rejects(folder).keys() == {1, 2, 3}
    assert not (tmp_path / "out.npy").exists()
    (tmp_path / "in.txt").write_text("good\npoison 2\n")
    assert embed(tmp_path / "in.txt", tmp_path / name)["rows"] == 1
    kept = sorted(file.name for file in folder.glob("*.parquet"))
    (tmp_path / "in.txt").write_text("poison 1\n")
    with pytest.raises(InvalidItem, match="All 1 rows"):
        embed(tmp_path / "in.txt", tmp_path / name)
    # What a run has finished before is still whole.
    assert sorted(file.name for file in folder.glob("*.parquet")) == kept
    assert [row["text"] for row in written(folder)] == ["good"]


def test_all_rows_are_no_objects(embed: Embed, tmp_path: Path) -> None:
    for name, content in (("in.jsonl", '{"text": NaN}\n[1]\n'), ("in.json", '["a", 1]')):
        (tmp_path / name).write_text(content)
        with pytest.raises(InvalidItem, match="All 2 rows were rejected"):
            embed(tmp_path / name, tmp_path / "out")
        assert len(rejects(tmp_path / "out")) == 2


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_vectors_that_are_not_finite_are_rejected_rows(
    dtype: str, number: float, embed: Embed, model: CountingModel, tmp_path: Path
) -> None:
    model.odd = number
    (tmp_path / "in.txt").write_text("good\nodd one\npoison\nfine\nodd one\n")
    for _ in range(2):
        summary = embed(tmp_path / "in.txt", tmp_path / "out", dtype=dtype)
        assert (summary["rows"], summary["rejects"]) == (2, 3)
        reasons = rejects(tmp_path / "out")
        assert reasons.pop(3) == "the model failed on it"
        assert reasons == dict.fromkeys((2, 5), "the model's vector is not finite: it holds NaN or infinity")
        rows = written(tmp_path / "out")
        assert [row["text"] for row in rows] == ["good", "fine"]
        assert all(np.isfinite(row["embedding"]).all() and np.any(row["embedding"]) for row in rows)
    with pytest.raises(InvalidItem, match=r"in\.txt, row 2: the model's vector is not finite"):
        embed(tmp_path / "in.txt", tmp_path / "strict", strict=True)


def test_a_vector_that_an_earlier_version_wrote_is_not_reused(
    embed: Embed, model: CountingModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model.odd = np.nan
    (tmp_path / "in.txt").write_text("good\nodd one\n")
    with monkeypatch.context() as earlier:
        earlier.setattr("numpy.isfinite", lambda rows: np.ones_like(rows, np.bool_))
        assert embed(tmp_path / "in.txt", tmp_path / "out")["rows"] == 2
    (tmp_path / "in.txt").write_text("odd one\ngood\n")
    embed(tmp_path / "in.txt", tmp_path / "out")
    assert [row["text"] for row in written(tmp_path / "out")] == ["good"]
