"""Sparse vectors of a corpus: list columns, with all that a run guarantees; searched alone and beside dense ones."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from app.config.args import ModelArgs
from app.config.settings import AppArgs
from app.corpus import search
from app.corpus.run import CorpusOptions, embed_corpus, in_process
from app.corpus.sparse_columns import dot, packed, with_sparse
from app.errors import InvalidRequest, SpaceMismatch
from app.vectors.ragged import pack_sparse
from tests.support.corpus_fakes import (
    CountingModel,
    CountingSparseModel,
    DriverDied,
    Embed,
    dying_after,
    written,
)

TEXTS = ["cat dog", "ant", "7", "cat", "elephant cat", "dog dog"]


@pytest.fixture
def model() -> CountingSparseModel:
    return CountingSparseModel()


@pytest.fixture
def sparse(embed: Embed) -> Embed:
    return lambda source, out, **options: embed(source, out, sparse=True, **options)


def write(folder: Path, texts: list[str], name: str = "in.jsonl") -> Path:
    (folder / name).write_text("\n".join(json.dumps({"id": i, "text": text}) for i, text in enumerate(texts)))
    return folder / name


def manifest(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "_manifest.json").read_text())
    return found


def test_indices_and_values_are_lists_beside_the_columns_of_the_source(
    sparse: Embed, model: CountingSparseModel, tmp_path: Path
) -> None:
    summary = sparse(write(tmp_path, TEXTS), tmp_path / "out")
    assert model.kinds_loaded == ["sparse"]
    assert [(row["text"], row["indices"], row["values"]) for row in written(tmp_path / "out")] == [
        ("cat dog", [2, 3], [3, 3]),
        ("ant", [0], [3]),
        ("7", [], []),
        ("cat", [2], [3]),
        ("elephant cat", [2, 4], [3, 8]),
        ("dog dog", [3], [3]),
    ]
    schema = pq.read_table(tmp_path / "out").schema
    assert (schema.field("indices").type.value_type, schema.field("values").type.value_type) == (
        pa.int32(),
        pa.float32(),
    )
    assert schema.names == ["id", "text", "indices", "values"]
    found = manifest(tmp_path / "out")
    assert (found["kind"], found["dimensions"], found["dtype"], found["model"]) == ("sparse", 26, "float32", "sparse")
    assert (summary["rows"], summary["embedded"], summary["dimensions"]) == (6, 6, 26)


def test_a_second_run_embeds_only_what_is_new(sparse: Embed, model: CountingSparseModel, tmp_path: Path) -> None:
    with pytest.raises(DriverDied):
        embed_corpus(
            str(write(tmp_path, [f"a{i}" for i in range(30)])),
            str(tmp_path / "out"),
            CorpusOptions(part_rows=10, sparse=True),
            dying_after(2, model.load),
        )
    sparse(tmp_path / "in.jsonl", tmp_path / "out")
    assert sorted(model.seen) == sorted(f"a{i}" for i in range(30))
    model.seen.clear()
    texts = ["new", *(f"a{i}" for i in range(30)), "a3"]
    assert sparse(write(tmp_path, texts), tmp_path / "out")["embedded"] == 1
    assert model.seen == ["new"]
    assert [row["indices"] for row in written(tmp_path / "out")] == [[13], *([[0]] * 31)]
    model.fingerprint = "other"
    assert sparse(tmp_path / "in.jsonl", tmp_path / "out")["embedded"] == 32


@pytest.mark.parametrize("odd", [float("nan"), float("inf"), float("-inf")])
def test_rows_that_fail_are_rejects(odd: float, sparse: Embed, model: CountingSparseModel, tmp_path: Path) -> None:
    model.odd = odd
    summary = sparse(write(tmp_path, ["cat", "odd", "poison", "", "dog"]), tmp_path / "out")
    assert (summary["rows"], summary["rejects"], summary["embedded"]) == (2, 3, 2)
    rejects = [json.loads(line) for line in (tmp_path / "out/_rejects.jsonl").read_text().splitlines()]
    assert [(one["row"], one["reason"].partition(":")[0]) for one in rejects] == [
        (4, "'text' is empty"),
        (2, "the model's vector is not finite"),
        (3, "the model failed on it"),
    ]
    assert [row["text"] for row in written(tmp_path / "out")] == ["cat", "dog"]


@pytest.mark.parametrize(
    ("options", "out", "words"),
    [
        ({"dtype": "int8"}, "out", "omit --dtype"),
        ({"dtype": "float16"}, "out", "omit --dtype"),
        ({"dimensions": 8}, "out", "omit --dtype"),
        ({}, "out.npy", "name of a folder"),
    ],
)
def test_what_sparse_vectors_can_not_be_is_refused(
    options: dict[str, Any], out: str, words: str, sparse: Embed, tmp_path: Path
) -> None:
    with pytest.raises(InvalidRequest, match=words):
        sparse(write(tmp_path, TEXTS), tmp_path / out, **options)
    assert not (tmp_path / out).exists()


def test_images_and_taken_names_are_refused(sparse: Embed, embed: Embed, tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures/a.png").write_bytes(b"x")
    with pytest.raises(InvalidRequest, match="holds images; chunks and sparse"):
        sparse(tmp_path / "pictures", tmp_path / "out")
    for name in ("indices", "values"):
        for file, text in (("in.jsonl", json.dumps({"text": "a", name: 1})), ("in.csv", f"text,{name}\na,1\n")):
            (tmp_path / file).write_text(text)
            with pytest.raises(InvalidRequest, match=f"column named '{name}' already"):
                sparse(tmp_path / file, tmp_path / "out")
    # A sparse run writes no `embedding`, so a corpus of dense vectors may be its source.
    pq.write_table(pa.table({"text": ["cat"], "embedding": [[1.0, 2.0]]}), tmp_path / "dense.parquet")
    sparse(tmp_path / "dense.parquet", tmp_path / "both")
    [row] = written(tmp_path / "both")
    assert row == {"text": "cat", "embedding": [1, 2], "indices": [2], "values": [3]}


def test_columns_and_bytes_are_the_same_vectors() -> None:
    rng = np.random.default_rng(5)
    whole = np.where(rng.random((40, 50)) < 0.2, rng.standard_normal((40, 50)), 0).astype(np.float32)
    whole[[0, 7, 39]] = 0
    rows = np.full(40, b"", object)
    rows[:] = [pack_sparse(row) for row in whole]
    table = with_sparse(pa.table({"n": range(40)}), rows)
    assert packed(table).tolist() == rows.tolist()
    query = rng.standard_normal(50).astype(np.float32)
    np.testing.assert_allclose(dot(table, query), whole @ query, atol=1e-5)
    assert dot(table, query)[[0, 7, 39]].tolist() == [0, 0, 0]
    assert packed(table.slice(0, 0)).tolist() == dot(table.slice(0, 0), query).tolist() == []
    none = with_sparse(pa.table({"n": range(2)}), np.full(2, b"", object))
    assert dot(none, query).tolist() == [0, 0]


def open_(folder: Path) -> search.WrittenCorpus:
    return search.open_corpus(str(folder))


def test_rows_are_found_by_their_dot_product(sparse: Embed, model: CountingSparseModel, tmp_path: Path) -> None:
    sparse(write(tmp_path, TEXTS), tmp_path / "out", part_rows=2)
    corpus = open_(tmp_path / "out")
    query = search.encode_query(corpus, "cat eagle", AppArgs(), 1, model.load)
    found = search.best(corpus, query, 10, 2)
    # A query's weights are twice as large; "ant", "7" and "dog dog" share nothing with it.
    assert list(zip(found.indices.tolist(), found.scores.tolist(), strict=True)) == [
        (4, 6 * 3 + 10 * 8),
        (0, 18),
        (3, 18),
    ]
    assert search.best(corpus, query, 1, 2).indices.tolist() == [4]
    assert corpus.rows([4, 2]) == [{"id": 4, "text": "elephant cat"}, {"id": 2, "text": "7"}]
    assert not list((tmp_path / "out").glob("_vectors-*"))
    model.fingerprint = "other"
    with pytest.raises(SpaceMismatch):
        search.encode_query(corpus, "cat", AppArgs(), 1, model.load)


def test_a_sparse_model_of_the_settings_is_found_by_the_manifest(sparse: Embed, tmp_path: Path) -> None:
    sparse(write(tmp_path, TEXTS), tmp_path / "out")
    configured = AppArgs(sparse_models=[ModelArgs(id="makers/sparse", batch_size=7)])
    found = open_(tmp_path / "out").manifest
    assert search.model_of(found, configured, "makers/sparse").batch_size == 7


@pytest.mark.parametrize(
    ("texts", "rows", "same"),
    [
        (TEXTS, 2, True),
        (TEXTS, 3, False),
        (TEXTS[:-1], 2, False),
        ([*TEXTS[:3], TEXTS[4], TEXTS[3], TEXTS[5]], 2, False),
        (["poison", *TEXTS[1:]], 2, False),
    ],
)
def test_a_corpus_beside_another_has_the_same_rows(
    texts: list[str], rows: int, same: bool, sparse: Embed, tmp_path: Path
) -> None:
    sparse(write(tmp_path, texts, "other.jsonl"), tmp_path / "sparse", part_rows=rows)
    dense = CorpusOptions(part_rows=2)
    embed_corpus(str(write(tmp_path, TEXTS)), str(tmp_path / "dense"), dense, in_process(CountingModel().load))
    both = open_(tmp_path / "dense"), open_(tmp_path / "sparse")
    if same:
        search.check_same_rows(*both, 2)
        for first, second in ((1, 0), (0, 0), (1, 1)):
            with pytest.raises(InvalidRequest, match="beside one of a text model"):
                search.check_same_rows(both[first], both[second], 2)
    else:
        with pytest.raises(InvalidRequest, match="are not those of"):
            search.check_same_rows(*both, 2)
