"""Search is exact, whatever the block, the type and the number of threads; and it finds the rows."""

import json
from pathlib import Path

import numpy as np
import pytest

from app.config.settings import AppArgs
from app.corpus import search
from app.corpus.search import encode_query, nearest, open_corpus
from app.errors import InvalidRequest, SpaceMismatch
from app.types import Vector
from app.vectors.similarity import normalize, rank
from tests.support.corpus_fakes import CountingModel, Embed


@pytest.fixture
def vectors() -> Vector:
    rows = normalize(np.random.default_rng(3).standard_normal((5000, 24), dtype=np.float32))
    rows[4000:4010] = rows[17]  # equal scores in different blocks
    return rows


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
@pytest.mark.parametrize("threads", [1, 3])
def test_blocks_change_nothing(dtype: str, threads: int, vectors: Vector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "BLOCK_BYTES", 24 * 4 * 700)
    stored = (vectors * 127).round().astype(np.int8) if dtype == "int8" else vectors.astype(dtype)
    whole = rank(vectors[17], stored.astype(np.float32), top_k=50)
    found = nearest(vectors[17], stored, 50, threads)
    np.testing.assert_array_equal(found.indices[:11], [17, *range(4000, 4010)])
    np.testing.assert_array_equal(found.indices, whole.indices)
    np.testing.assert_allclose(found.scores, whole.scores, atol=2e-6)


def test_more_wanted_than_there_are(vectors: Vector) -> None:
    assert len(nearest(vectors[0], vectors[:3], 10).indices) == 3
    assert len(nearest(vectors[0], vectors[:0], 10).indices) == 0


@pytest.mark.parametrize("name", ["out", "out.npy"])
def test_a_query_finds_its_row_and_the_rows_come_with_their_columns(
    name: str, embed: Embed, model: CountingModel, tmp_path: Path
) -> None:
    lines = [json.dumps({"id": f"n{i}", "text": f"passage {i}"}) for i in range(45)]
    (tmp_path / "in.jsonl").write_text("\n".join([*lines[:20], "{bad", *lines[20:]]))
    embed(tmp_path / "in.jsonl", tmp_path / name)
    corpus = open_corpus(str(tmp_path / name))
    assert isinstance(corpus.vectors, np.memmap)
    for i in (0, 9, 20, 44):
        ranking = nearest(encode_query(corpus, f"passage {i}", AppArgs(), 1, model.load), corpus.vectors, 2)
        assert corpus.rows(ranking.indices.tolist())[0] == {"id": f"n{i}", "text": f"passage {i}"}
        assert ranking.scores[0] == pytest.approx(1, abs=1e-5)


def test_vectors_are_laid_out_anew_when_the_corpus_changed(embed: Embed, model: CountingModel, tmp_path: Path) -> None:
    source = tmp_path / "in.txt"
    for text in ("one\ntwo", "one\ntwo\nthree"):
        source.write_text(text)
        embed(source, tmp_path / "out")
        assert len(open_corpus(str(tmp_path / "out")).vectors) == len(text.split())
    assert len(list((tmp_path / "out").glob("_vectors-*"))) == 1


def test_another_model_is_refused(embed: Embed, model: CountingModel, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("one")
    embed(tmp_path / "in.txt", tmp_path / "out")
    model.fingerprint = "fake-2"
    with pytest.raises(SpaceMismatch, match="Embed it again"):
        encode_query(open_corpus(str(tmp_path / "out")), "one", AppArgs(), 1, model.load)


def test_an_unfinished_corpus_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="not a finished corpus"):
        open_corpus(str(tmp_path))
