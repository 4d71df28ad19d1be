"""Sparse encoders as tiny twins, and published weights: against sentence-transformers' `SparseEncoder`."""

import json
from pathlib import Path

import numpy as np
import pytest

from app.errors import ModelUnavailable
from app.types import Prompted
from tests.support import families
from tests.support.sparse import MOST, dense, load, right, routed, splade, table, texts, write, write_plain


@pytest.mark.parametrize("name", ["BERT", "DistilBERT", "XLM-R", "MPNet", "ModernBERT"])
def test_a_family_makes_what_sentence_transformers_makes(name: str, tmp_path: Path) -> None:
    folder = write_plain(name, tmp_path / "model", MOST)
    wanted = right(folder, texts())
    assert 0.05 < np.mean(wanted > 0) < 0.999
    for backend in ("auto", "torch"):
        model = load(folder, tmp_path / "cache", backend)
        assert model.info.backend == ("openvino" if backend == "auto" else "torch"), model.info.note
        assert (model.info.kinds, model.info.pooling) == (("sparse",), ("max", "relu"))
        np.testing.assert_allclose(dense(model, texts()), wanted, atol=1e-4)
        alone = np.concatenate([dense(model, [text]) for text in texts()])
        np.testing.assert_allclose(alone, wanted, atol=1e-4)


@pytest.mark.parametrize("strategy", ["max", "sum"])
@pytest.mark.parametrize("activation", ["relu", "log1p_relu"])
def test_pooling_activation_limit_and_prompts_of_the_files_are_followed(
    strategy: str, activation: str, tmp_path: Path
) -> None:
    plain = write_plain("BERT", tmp_path / "plain", MOST)
    folder = write(
        splade(plain, strategy, activation),
        *(tmp_path / "model",),
        max_active_dims=17,
        prompts={"query": "w3 w9 ", "document": ""},
        default_prompt_name="query",
    )
    model = load(folder, tmp_path / "cache", "torch")
    wanted = right(folder, texts())
    assert np.all(np.count_nonzero(wanted, axis=1) == 17)
    np.testing.assert_allclose(dense(model, texts()), wanted, atol=1e-4)
    np.testing.assert_allclose(
        dense(model, [Prompted(text, "") for text in texts()]), right(folder, texts(), prompt=""), atol=1e-4
    )
    assert model.info.pooling == (strategy, activation)


def test_the_older_module_of_masked_language_models_is_the_same(tmp_path: Path) -> None:
    folder = write(splade(write_plain("BERT", tmp_path / "plain", MOST)), tmp_path / "model")
    listed = json.loads((folder / "modules.json").read_text())
    listed[0]["type"] = "sentence_transformers.sparse_encoder.models.MLMTransformer"
    (folder / "modules.json").write_text(json.dumps(listed))
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 40, "do_lower_case": False}))
    model = load(folder, tmp_path / "cache", "torch")
    assert model.info.max_tokens == 40
    np.testing.assert_allclose(dense(model, texts()), right(folder, texts()), atol=1e-4)


def test_a_table_of_weights_and_a_router_for_queries_and_documents(tmp_path: Path) -> None:
    given = [*texts(), "w1 w1 w2", "unknown words", "unknown w5"]
    static = write([table(MOST)], tmp_path / "static")
    model = load(static, tmp_path / "cache")
    assert (model.info.backend, model.info.pooling) == ("static", ())
    np.testing.assert_allclose(dense(model, given), right(static, given), atol=1e-6)
    assert not dense(model, ["unknown words"]).any()

    folder = write([routed(write_plain("BERT", tmp_path / "plain", MOST), MOST)], tmp_path / "routed")
    both = load(folder, tmp_path / "cache")
    assert len(both.info.routes) == 1
    wanted = {task: right(folder, given, task) for task in ("query", "document")}
    assert np.abs(wanted["query"] - wanted["document"]).max() > 0.1
    for task, rows in wanted.items():
        np.testing.assert_allclose(dense(both, [Prompted(text, task=task) for text in given]), rows, atol=1e-4)
    mixed = [Prompted(text, task=task) for text in given[:3] for task in wanted]
    np.testing.assert_allclose(
        dense(both, mixed), np.stack([wanted[task][i] for i in range(3) for task in wanted]), atol=1e-4
    )


def test_what_is_none_says_what_it_is(tmp_path: Path) -> None:
    vectors = families.write(families.FAMILIES["BERT"], tmp_path / "vectors", MOST)
    with pytest.raises(ModelUnavailable, match=r"no sparse encoder that is served \(Transformer, Pooling\)"):
        load(vectors, tmp_path)
    folder = write(splade(write_plain("BERT", tmp_path / "plain", MOST)), tmp_path / "model")
    with pytest.raises(ModelUnavailable, match=r"Configure it in `sparse_models` \(SPARSE_MODEL\)"):
        families.load(folder, tmp_path)
    pooling = folder / "1_SpladePooling" / "config.json"
    pooling.write_text(json.dumps({"pooling_strategy": "median"}))
    with pytest.raises(ModelUnavailable, match="pools by median of relu"):
        load(folder, tmp_path)
