"""Vectors of a corpus are those of the encoder that serves."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from app.config.args import DEFAULT_TEXT_MODEL, ModelArgs
from app.corpus.known_vectors import matrix
from app.corpus.run import CorpusOptions, embed_corpus, in_process
from app.encoders.text import load_text_model
from app.vectors.similarity import normalize
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
