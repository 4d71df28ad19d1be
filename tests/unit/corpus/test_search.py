"""Search is exact, whatever the block, the type and the number of threads; and it finds the rows."""

import datetime
import json
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from app.config.args import ModelArgs
from app.config.settings import AppArgs
from app.corpus import search
from app.corpus.run import CorpusOptions, embed_corpus, in_process
from app.corpus.search import encode_query, nearest, open_corpus
from app.errors import InvalidRequest, SpaceMismatch
from app.types import Vector
from app.vectors.similarity import normalize, rank
from app.words import Kind
from tests.support.corpus_fakes import CountingModel, Embed, vector


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


def test_a_row_with_a_date_that_python_can_not_hold(embed: Embed, tmp_path: Path) -> None:
    days = pa.array([0, 2**30], pa.date32())
    pq.write_table(pa.table({"text": ["a", "b"], "day": days}), tmp_path / "in.parquet")
    embed(tmp_path / "in.parquet", tmp_path / "out")
    rows = open_corpus(str(tmp_path / "out")).rows([1, 0])
    assert [row["day"] for row in rows] == ["<value out of range: 1073741824>", datetime.date(1970, 1, 1)]


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


def test_int8_is_searched_by_the_middles_of_its_levels(embed: Embed, model: CountingModel, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("\n".join(f"passage {i}" for i in range(300)))
    embed(tmp_path / "in.txt", tmp_path / "out", dtype="int8", part_rows=300)
    corpus = open_corpus(str(tmp_path / "out"))
    assert corpus.middle == 1
    units = np.stack([vector(f"passage {i}".encode()) for i in range(300)])
    for i in range(0, 300, 30):
        query = encode_query(corpus, f"passage {i}", AppArgs(), 1, model.load)
        ranking = nearest(query, corpus.vectors, 3, 1, corpus.middle)
        assert ranking.indices[0] == i
        exact = units[ranking.indices] @ units[i]
        np.testing.assert_allclose(ranking.scores, exact, atol=0.012)
    # Those of earlier versions, which have no range, are unit vectors times 127.
    assert replace(corpus, manifest=replace(corpus.manifest, range=None)).middle == 0


@dataclass
class LoadedFrom(CountingModel):
    ids: list[str] = field(default_factory=list)

    def load(self, args: ModelArgs, kind: Kind, threads: int, offline: bool) -> CountingModel:
        self.ids.append(args.id)
        return self


def test_a_model_given_as_a_folder_is_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    model = LoadedFrom()
    (tmp_path / "models/small").mkdir(parents=True)
    (tmp_path / "in.txt").write_text("one")
    for written in ("models/small", "./models/small/", str(tmp_path / "models/small")):
        options = CorpusOptions(models=(ModelArgs(id=written), ModelArgs(id="none")))
        embed_corpus("in.txt", "out", options, in_process(model.load))
        with monkeypatch.context() as elsewhere:
            elsewhere.chdir("/")
            corpus = open_corpus(str(tmp_path / "out"))
            encode_query(corpus, "one", AppArgs(), 1, model.load)
            assert model.ids[-1] == str(tmp_path / "models/small")
    # A configured model keeps its options; a folder that has moved is named by the user.
    configured = AppArgs(text_models=[ModelArgs(id=str(tmp_path / "models/small"), batch_size=7)])
    assert search.model_of(corpus.manifest, configured, None).batch_size == 7
    (tmp_path / "models").rename(tmp_path / "moved")
    encode_query(corpus, "one", AppArgs(), 1, model.load, "moved/small")
    assert model.ids[-1] == "moved/small"
    old = replace(corpus, manifest=replace(corpus.manifest, model="small", directory=None))
    configured = AppArgs(text_models=[ModelArgs(id=str(tmp_path / "moved/small"))])
    assert search.model_of(old.manifest, configured, None).id == str(tmp_path / "moved/small")
