"""Token vectors of text models, on each backend: those of sentence-transformers before its pooling, and of ColBERTs
those of its multi-vector encoder."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Dense, Transformer
from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask
from sentence_transformers.sentence_transformer.modules import Pooling

from app import __main__ as command
from app.config.args import ModelArgs
from app.encoders.tokens import TokenModel, load_token_model
from app.errors import InvalidItem, ModelUnavailable
from app.service import prompts
from app.types import Prompted, ReadOptions, TextInput, Vector
from app.vectors.ragged import unpack_rows
from tests.support import colbert, families
from tests.support.sparse import MOST, texts


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


def of_task(model: TokenModel, task: str | None, given: list[str]) -> list[Vector]:
    prompt = prompts.choose(model.info, ReadOptions(input_type=task))
    return made(model, [Prompted(text, prompt, task=task) for text in given])


def equals(folder: Path, cache: Path, *backends: str) -> TokenModel:
    """As sentence-transformers has it, alone and together."""
    for backend in backends or ("torch",):
        model = load(folder, cache, backend)
        assert (model.info.kinds, model.info.dimensions) == (("token",), colbert.WIDTH)
        for task in ("query", "document", None):
            right = colbert.oracle(folder, task, colbert.TEXTS)
            one_by_one = [of_task(model, task, [text])[0] for text in colbert.TEXTS]
            for rows in (of_task(model, task, colbert.TEXTS), one_by_one):
                assert [one.shape for one in rows] == [one.shape for one in right], task
                for one, wanted in zip(rows, right, strict=True):
                    np.testing.assert_allclose(one, wanted, atol=1e-4)
    assert {*model.info.routes} == {"query", "document"}
    assert len({model.info.fingerprint, *model.info.routes.values()}) == 3
    return model


ROLES = {"query": "[Q] ", "document": "[D] "}
FIXED = {"strategy": "fixed", "length": 12}


@pytest.mark.parametrize(
    ("name", "mask", "options"),
    [
        ("BERT", {"skiplist_words": [".", ",", "no such"]}, {"query_expansion": FIXED, "document_length": 30}),
        ("BERT", {}, {"query_expansion": FIXED | {"attend": True}, "prompts": {"query": "w9 ", "passage": "w8 "}}),
        ("ModernBERT", {"skiplist_words": ["!", "w1"]}, {"query_expansion": FIXED | {"strategy": "min", "length": 10}}),
        (
            "RoBERTa",
            {"skiplist_words": ["?", "[MASK]"], "skiplist_tasks": ["query", "document"]},
            {"query_expansion": FIXED | {"strategy": "min", "token": "w7"}, "query_length": 16, "document_length": 99},
        ),
        ("DistilBERT", {"skiplist_words": ["."], "skiplist_tasks": []}, {"query_length": 9, "document_length": 7}),
        ("Qwen3", None, {"document_length": 20}),
    ],
)
def test_multi_vector_encoders_equal_sentence_transformers(
    name: str, mask: dict[str, Any] | None, options: dict[str, Any], tmp_path: Path
) -> None:
    plain = colbert.write_plain(tmp_path / "plain", name)
    module = None if mask is None else MultiVectorMask(**mask)
    folder = colbert.write_native(plain, tmp_path / "model", module, **{"prompts": ROLES, **options})
    equals(folder, tmp_path / "cache", *(["openvino"] if name == "BERT" else []), "torch")


@pytest.mark.parametrize(
    "said",
    [
        {"query_prefix": "[Q] ", "document_prefix": "[D] ", "query_length": 16, "document_length": 30},
        {"query_prefix": "[unused0]", "document_prefix": "[unused1]", "query_length": 60, "skiplist_words": ["."]},
        {"query_prefix": "", "prompts": {"query": "w3 ", "document": "w4 "}, "do_query_expansion": False},
        {"query_length": 12, "query_expansion": {"strategy": "min", "length": 9}, "skiplist_words": []},
        {"attend_to_expansion_tokens": True, "document_length": 12, "similarity_fn_name": "MaxSim"},
    ],
)
@pytest.mark.parametrize("kind", [{"model_type": "ColBERT"}, {}])
def test_pylate_models_equal_sentence_transformers(said: dict[str, Any], kind: dict[str, str], tmp_path: Path) -> None:
    plain = colbert.write_plain(tmp_path / "model", added=("[Q] ", "[D] "))
    model = equals(colbert.write_pylate(plain, said | kind), tmp_path / "cache")
    if "[Q] " in said.values():
        query, document = (of_task(model, task, ["w1 . w2"])[0] for task in ("query", "document"))
        assert (len(query), len(document)) == (16, 5), "filled up; without the full stop"


STANFORD = {"query_token_id": "[unused0]", "doc_token_id": "[unused1]", "query_maxlen": 16, "doc_maxlen": 30}


@pytest.mark.parametrize("metadata", [STANFORD, STANFORD | {"attend_to_mask_tokens": True, "mask_punctuation": False}])
def test_stanfords_colbert_equals_sentence_transformers(metadata: dict[str, Any], tmp_path: Path) -> None:
    folder = colbert.write_stanford(colbert.write_plain(tmp_path / "model"), metadata)
    model = equals(folder, tmp_path / "cache")
    assert model.info.prompts == {"query": "[unused0] ", "document": "[unused1] "}
    assert model.tokens(["w1"], "[unused0] ", False)[0][0].id == 5, "one token, as in training"


def test_inspect_describes_a_colbert(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = {"query_prefix": "[Q] ", "document_prefix": "[D] ", "query_length": 16, "document_length": 40}
    folder = colbert.write_pylate(colbert.write_plain(tmp_path / "plain"), said)
    assert command.main(["inspect", str(folder)]) == 0
    assert capsys.readouterr().out.splitlines()[1:5] == [
        "kind        a vector per token of texts (ColBERT, BertModel): configure it in token_models",
        f"dimensions  {load(folder, tmp_path, 'torch').info.dimensions}",
        "tokens      at most 16 of a query, 40 of a document",
        "prompts     query: '[Q] ', document: '[D] '",
    ]


def test_colberts_that_need_guessing_are_refused(tmp_path: Path) -> None:
    def refused(folder: Path) -> str:
        with pytest.raises(ModelUnavailable) as caught:
            load(folder, tmp_path / "cache", "torch")
        return caught.value.message

    stanford = colbert.write_plain(tmp_path / "stanford")
    assert "has no linear.weight" in refused(_said(stanford, "artifact.metadata", STANFORD, HF))
    stanford = colbert.write_stanford(colbert.write_plain(tmp_path / "bare"), None)
    assert "has no artifact.metadata" in refused(stanford)
    pylate = colbert.write_pylate(colbert.write_plain(tmp_path / "pylate"), {"query_prefix": "[Q] "})
    assert "fills queries up" in refused(_said(pylate, "config_sentence_transformers.json", {"query_length": 9999}))
    shorter = {"query_length": 8, "query_expansion": FIXED}
    assert "fills queries up" in refused(_said(pylate, "config_sentence_transformers.json", shorter))
    listed = json.loads((pylate / "modules.json").read_text())
    (pylate / "modules.json").write_text(json.dumps(listed[:1]))
    assert "without its Dense layer" in refused(pylate)
    (pylate / "modules.json").unlink()
    assert "without a modules.json" in refused(pylate)
    mask = MultiVectorMask(keep_only_token_ids=[5])
    native = colbert.write_native(colbert.write_plain(tmp_path / "plain"), tmp_path / "native", mask)
    assert "keep_only_token_ids" in refused(native)
    left = colbert.write_plain(tmp_path / "left", padding_side="left")
    filled = colbert.write_native(left, tmp_path / "filled", MultiVectorMask(), query_expansion=FIXED)
    assert "at their end" in refused(filled)


HF = {"config.json": {"architectures": ["HF_ColBERT"]}}


def _said(folder: Path, name: str, content: dict[str, Any], more: dict[str, Any] | None = None) -> Path:
    for file, changes in ((more or {}) | {name: content}).items():
        known = json.loads((folder / file).read_text()) if (folder / file).is_file() else {}
        (folder / file).write_text(json.dumps(known | changes))
    return folder


def test_the_size_of_the_answer_is_known_before(tmp_path: Path) -> None:
    plain = colbert.write_plain(tmp_path / "plain")
    mask = MultiVectorMask(skiplist_words=["."])
    model = load(colbert.write_native(plain, tmp_path / "model", mask, query_expansion=FIXED), tmp_path, "torch")
    asked: list[TextInput] = [Prompted("w1 . w2", task=task) for task in ("query", "document", None)]
    assert model.counts(asked) == [12, 4, 4] == [len(rows) for rows in made(model, asked)]
