"""Vectors of a corpus are those of the encoder that serves."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from app.config.args import DEFAULT_TEXT_MODEL, ModelArgs
from app.config.settings import AppArgs
from app.corpus.known_vectors import matrix
from app.corpus.model import load_model
from app.corpus.run import CorpusOptions, embed_corpus, in_process
from app.corpus.search import best, encode_query, open_corpus
from app.encoders.text import load_text_model
from app.errors import ModelUnavailable
from app.service.chunks import ChunkRule
from app.vectors.similarity import normalize
from tests.support import sparse
from tests.support.sparse import MOST
from tests.support.texts import varied


@pytest.mark.parametrize("precision", ["f32", "auto"])
def test_equal_to_encoding_directly(precision: str, tmp_path: Path) -> None:
    texts = [text for text in varied(60) if text.strip()]
    (tmp_path / "in.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in texts))
    args = ModelArgs(id=DEFAULT_TEXT_MODEL, precision=precision, batch_size=8, batch_tokens=512)
    options = CorpusOptions(models=(args, args), threads=2, offline=True)
    embed_corpus(str(tmp_path / "in.jsonl"), str(tmp_path / "out"), options, in_process())
    table = pq.read_table(tmp_path / "out")
    assert table["text"].to_pylist() == texts
    model = load_text_model(args, threads=2, offline=True)
    direct = normalize(np.concatenate([model.run([text.ids]) for text in model.tokenize(texts)]))
    cosines = np.vecdot(normalize(matrix(table).astype(np.float32)), direct)
    assert cosines.min() >= 0.99999, cosines.min()


def test_sparse_vectors_are_those_of_documents_and_the_query_s_that_of_a_query(tmp_path: Path) -> None:
    folder = sparse.write(
        [sparse.routed(sparse.write_plain("BERT", tmp_path / "plain", MOST), MOST)], tmp_path / "sparse"
    )
    given = sparse.texts()
    (tmp_path / "in.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in given))
    args = ModelArgs(id=str(folder), precision="f32", batch_size=8, cache_dir=str(tmp_path / "cache"))
    options = CorpusOptions(models=(args, args), threads=2, offline=True, sparse=True)
    embed_corpus(str(tmp_path / "in.jsonl"), str(tmp_path / "out"), options, in_process())
    corpus = open_corpus(str(tmp_path / "out"))
    made = np.zeros((len(given), corpus.manifest.dimensions), np.float32)
    for row, found in zip(made, pq.read_table(tmp_path / "out").to_pylist(), strict=True):
        row[found["indices"]] = found["values"]
    wanted = sparse.right(folder, given, "document")
    np.testing.assert_allclose(made, wanted, atol=1e-4)
    query = encode_query(corpus, given[2], AppArgs(sparse_models=[args]), 2)
    np.testing.assert_allclose(query, sparse.right(folder, given[2:3], "query")[0], atol=1e-4)
    ranking = best(corpus, query, 99, 2)
    scores = wanted @ query
    np.testing.assert_allclose(ranking.scores, scores[ranking.indices], atol=1e-3)
    assert {*ranking.indices.tolist()} == {*np.flatnonzero(scores).tolist()}
    with pytest.raises(ModelUnavailable, match=r"Configure it in `sparse_models` \(SPARSE_MODEL\)"):
        load_model(args, "text", 2, True)


@pytest.mark.parametrize("rule", [ChunkRule(), ChunkRule(20, 5), ChunkRule(12, 4, "sentences")])
def test_chunks_are_those_of_the_model_s_tokenizer(rule: ChunkRule, tmp_path: Path) -> None:
    given = [" ".join(text for text in varied(35) if text.strip()), "A short one.", "Two. Sentences here!"]
    (tmp_path / "in.jsonl").write_text("\n".join(json.dumps({"id": i, "text": text}) for i, text in enumerate(given)))
    args = ModelArgs(id=DEFAULT_TEXT_MODEL, precision="f32", batch_size=8, batch_tokens=512)
    options = CorpusOptions(models=(args, args), threads=2, offline=True, chunks=rule, id_column="id")
    summary = embed_corpus(str(tmp_path / "in.jsonl"), str(tmp_path / "out"), options, in_process())
    model = load_text_model(args, threads=2, offline=True)
    spans = model.chunks(given, rule.size, rule.overlap, rule.by, None, 10_000)
    rows = pq.read_table(tmp_path / "out").to_pylist()
    assert [(row["parent"], row["chunk"], row["start"], row["end"]) for row in rows] == [
        (i, n, *span) for i, own in enumerate(spans) for n, span in enumerate(own)
    ]
    assert [row["text"] for row in rows] == [given[row["id"]][row["start"] : row["end"]] for row in rows]
    assert (summary["rows"], summary["truncated"]) == (len(rows), 0)
    texts = [row["text"] for row in rows]
    direct = normalize(np.concatenate([model.run([text.ids]) for text in model.tokenize(texts)]))
    made = np.array([row["embedding"] for row in rows], np.float32)
    assert np.vecdot(made, direct).min() >= 0.99999
