"""Token vectors of text models, on each backend: those of sentence-transformers before its pooling."""

from pathlib import Path

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Dense, Transformer
from sentence_transformers.sentence_transformer.modules import Pooling

from app.config.args import ModelArgs
from app.encoders.backends import export, openvino_models
from app.encoders.tokens import TokenModel, load_token_model
from app.errors import InvalidItem, ModelUnavailable
from app.types import Prompted, TextInput, Vector
from app.vectors.ragged import unpack_rows
from tests.support import families
from tests.support.sparse import MOST, texts


@pytest.fixture(autouse=True)
def _convert_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino_models, "convert", export.write)


def load(folder: Path, cache: Path, backend: str) -> TokenModel:
    args = ModelArgs(id=str(folder), backend=backend, device="cpu", precision="f32", cache_dir=str(cache))
    return load_token_model(args, threads=2, offline=True)


def made(model: TokenModel, inputs: list[TextInput]) -> list[Vector]:
    read = [one for one in model.read(inputs) if not isinstance(one, InvalidItem)]
    rows = model.run([one.ids for one in read])
    return [unpack_rows(row, model.info.dimensions) for row in rows]


def check(folder: Path, cache: Path, backend: str) -> TokenModel:
    model, oracle = load(folder, cache, backend), SentenceTransformer(str(folder), device="cpu")
    right = [row.numpy() for row in oracle.encode(texts(), output_value="token_embeddings")]
    for rows in (made(model, [*texts()]), [made(model, [text])[0] for text in texts()]):
        assert [one.shape for one in rows] == [one.shape for one in right]
        for one, wanted in zip(rows, right, strict=True):
            np.testing.assert_allclose(one, wanted, atol=1e-4)
    return model


@pytest.mark.parametrize("name", ["BERT", "ModernBERT", "Qwen3"])
def test_tokens_are_those_before_the_pooling(name: str, tmp_path: Path) -> None:
    folder = families.write(families.FAMILIES[name], tmp_path / "model", MOST)
    for backend in ("openvino", "torch"):
        model = check(folder, tmp_path / "cache", backend)
        assert (model.info.backend, model.info.kinds, model.info.dimensions) == (backend, ("token",), 48)
        [one] = made(model, [Prompted("w1 w2", "w3 ")])
        assert len(one) == len(made(model, ["w3 w1 w2"])[0])


def test_a_dense_layer_on_tokens_is_before_the_pooling(tmp_path: Path) -> None:
    plain = families.write(families.FAMILIES["BERT"], tmp_path / "plain", MOST)
    dense = Dense(48, 20, module_input_name="token_embeddings", module_output_name="token_embeddings")
    modules = [Transformer(str(plain)), dense, Pooling(20)]
    SentenceTransformer(modules=modules, device="cpu").save_pretrained(str(tmp_path / "model"))
    assert check(tmp_path / "model", tmp_path / "cache", "torch").info.dimensions == 20


def test_models_without_token_vectors_of_their_own_are_refused(tmp_path: Path) -> None:
    folder = families.write(families.FAMILIES["BERT"], tmp_path / "model", MOST)
    (folder / "modules.json").write_text(
        '[{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.StaticEmbedding"}]'
    )
    with pytest.raises(ModelUnavailable, match="a table of token vectors"):
        load(folder, tmp_path, "torch")
