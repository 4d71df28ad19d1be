"""Cross-encoders and classifiers as tiny twins: each backend against `CrossEncoder.predict`."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from sentence_transformers import CrossEncoder
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from app import __main__ as command
from app.encoders.backends import openvino_models
from app.encoders.pairs import PairTokenizer
from app.errors import InvalidItem, ModelUnavailable
from app.types import Pair, Prompted, TokenIds
from app.vectors.activation import ACTIVATIONS
from tests.support import families
from tests.support.rerankers import load, logits, pairs, tokenizer, write

MOST = 96


def predicted(folder: Path, given: list[Any], **options: Any) -> Any:
    return CrossEncoder(str(folder), device="cpu", local_files_only=True).predict(given, **options)


def of_text(folder: Path, text: str) -> Any:
    """transformers' logits of one text: `predict` takes pairs only."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    with torch.inference_mode():
        model = AutoModelForSequenceClassification.from_pretrained(folder)
        return model(**tokenizer(text, truncation=True, return_tensors="pt")).logits.numpy()


@pytest.mark.parametrize("name", ["BERT", "XLM-R", "MPNet", "ModernBERT", "DistilBERT", "ELECTRA", "DeBERTa-v2/v3"])
def test_a_family_scores_as_sentence_transformers_does(name: str, tmp_path: Path) -> None:
    folder, given = write(name, tmp_path / "model", MOST), pairs(MOST)
    right = predicted(folder, given)
    assert np.ptp(right) > 0.01
    for backend in ("auto", "torch"):
        model = load(folder, tmp_path / "cache", backend)
        assert model.info.backend == ("openvino" if backend == "auto" else "torch"), model.info.note
        assert (model.info.labels, model.info.activation, model.info.kinds) == (("relevance",), "Sigmoid", ("rerank",))
        scores = ACTIVATIONS[model.info.activation](logits(model, given))[:, 0]
        np.testing.assert_allclose(scores, right, atol=1e-4)
        alone = [float(ACTIVATIONS["Sigmoid"](logits(model, [pair]))[0, 0]) for pair in given]
        np.testing.assert_allclose(alone, right, atol=1e-4)


def test_inspect_says_what_a_reranker_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write("BERT", tmp_path / "model", MOST, ("no", "yes"))
    assert command.main(["inspect", str(folder)]) == 0
    lines = dict(line.split(None, 1) for line in capsys.readouterr().out.splitlines())
    assert lines["kind"] == (
        "scores of pairs, or of texts (BertForSequenceClassification): configure it in rerank_models"
    )
    assert (lines["labels"], lines["tokens"]) == ("2 (no, yes), behind Identity", f"at most {MOST}")
    assert (lines["backend"], lines["complete"]) == ("openvino, or torch if a conversion is not exact", "yes")


@pytest.mark.parametrize("typed", [True, False])
def test_pairs_are_read_as_transformers_reads_them(typed: bool, tmp_path: Path) -> None:
    own = tokenizer(MOST, typed=typed)
    own.save_pretrained(tmp_path)
    ours = PairTokenizer(tmp_path / "tokenizer.json", MOST)
    rng = np.random.default_rng(5)
    sizes = [*rng.integers(0, 2 * MOST, (300, 2)), *rng.integers(0, 4, (50, 2))]
    given = [tuple(" ".join(rng.choice(families.WORDS, size)) for size in two) for two in sizes]
    for cut, side in (("end", "right"), ("start", "left")):
        own.truncation_side = side
        read = ours.read([Pair(query, text, cut) for query, text in given])  # type: ignore[arg-type]
        for pair, one in zip(given, read, strict=True):
            # As `predict` calls it: of a pair alone, an empty text would be none.
            wanted = {name: rows[0] for name, rows in own([pair], truncation="longest_first", max_length=MOST).items()}
            assert not isinstance(one, InvalidItem)
            assert [~id_ if id_ < 0 else id_ for id_ in one.ids] == wanted["input_ids"]
            if typed:
                assert [int(id_ < 0) for id_ in one.ids] == wanted["token_type_ids"]
            assert one.truncated == (len(own([pair])["input_ids"][0]) > MOST)
    # The library would make a part of each overflow of one with each of the other: gigabytes, of this pair.
    [long] = ours.read([Pair("w1 " * 40_000, "w2 " * 30_000)])
    room = MOST - (3 if typed else 4)
    assert not isinstance(long, InvalidItem)
    ids = [~id_ if id_ < 0 else id_ for id_ in long.ids]
    assert (ids.count(5), ids.count(6), len(ids), long.truncated) == (room - room // 2, room // 2, MOST, True)
    [text, prompted, refused] = ours.read(["w1 w2", Prompted("w1 " * 200, None, "start"), TokenIds((2, 7, 3))])
    assert (text.ids, len(prompted.ids), prompted.truncated) == ([2, 5, 6, 3], MOST, True)  # type: ignore[union-attr]
    assert isinstance(refused, InvalidItem)


def test_an_activation_a_length_and_a_prompt_of_the_files_are_followed(tmp_path: Path) -> None:
    given = pairs(MOST)
    plain = write("BERT", tmp_path / "plain", MOST)
    ours = CrossEncoder(
        str(plain), device="cpu", prompts={"query": "w3 w9 "}, default_prompt_name="query", max_length=40
    )
    ours.save_pretrained(str(tmp_path / "saved"))
    model = load(tmp_path / "saved", tmp_path / "cache")
    assert (model.info.max_tokens, model.info.prompts) == (40, {"query": "w3 w9 "})
    right = predicted(tmp_path / "saved", given)
    np.testing.assert_allclose(ACTIVATIONS["Sigmoid"](logits(model, given))[:, 0], right, atol=1e-4)
    assert np.abs(right - predicted(plain, given)).max() > 1e-3
    for place, name in (("sentence_transformers", "Tanh"), ("sbert_ce_default_activation_function", "Identity")):
        path = f"torch.nn.modules.activation.{name}" if name == "Tanh" else "torch.nn.modules.linear.Identity"
        config: Any = {place: {"activation_fn": path} if name == "Tanh" else path}
        folder = write("XLM-R", tmp_path / name, MOST, **config)
        model = load(folder, tmp_path / "cache", "torch")
        assert model.info.activation == name
        np.testing.assert_allclose(ACTIVATIONS[name](logits(model, given))[:, 0], predicted(folder, given), atol=1e-4)


def test_of_a_plain_directory_config_sentence_transformers_json_does_not_count(tmp_path: Path) -> None:
    folder, given = write("BERT", tmp_path / "model", MOST), pairs(MOST)
    said = {"activation_fn": "torch.nn.modules.activation.Tanh", "prompts": {"q": "w3 "}, "default_prompt_name": "q"}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(said | {"model_type": "CrossEncoder"}))
    model = load(folder, tmp_path / "cache", "torch")
    assert (model.info.activation, model.info.prompts) == ("Sigmoid", {})
    np.testing.assert_allclose(ACTIVATIONS["Sigmoid"](logits(model, given))[:, 0], predicted(folder, given), atol=1e-4)


def test_a_classifier_has_labels_and_reads_texts_alone(tmp_path: Path) -> None:
    folder = write("DistilBERT", tmp_path / "model", MOST, ("joy", "fear", "calm"))
    model = load(folder, tmp_path / "cache")
    assert (model.info.labels, model.info.activation, model.info.dimensions) == (("joy", "fear", "calm"), "Identity", 3)
    texts = families.texts(MOST)
    read = model.read(texts)
    made = model.run([one.ids for one in read])  # type: ignore[union-attr]
    np.testing.assert_allclose(made, np.concatenate([of_text(folder, text) for text in texts]), atol=1e-4)
    np.testing.assert_allclose(logits(model, pairs(MOST)), predicted(folder, pairs(MOST)), atol=1e-4)


def test_what_is_no_cross_encoder_says_what_it_is(tmp_path: Path) -> None:
    vectors = families.write(families.FAMILIES["BERT"], tmp_path / "vectors", MOST)
    with pytest.raises(ModelUnavailable, match=r"it is no cross-encoder. Configure it in `text_models`"):
        load(vectors, tmp_path)
    scores = write("BERT", tmp_path / "scores", MOST)
    with pytest.raises(ModelUnavailable, match=r"makes no vectors of them. Configure it in `rerank_models`"):
        families.load(scores, tmp_path)
    config = json.loads((scores / "config.json").read_text())
    (scores / "config.json").write_text(json.dumps(config | {"architectures": ["Qwen3ForCausalLM"]}))
    (scores / "config_sentence_transformers.json").write_text(json.dumps({"model_type": "CrossEncoder"}))
    with pytest.raises(ModelUnavailable, match="scores texts with Qwen3ForCausalLM"):
        load(scores, tmp_path)
    other = {"sentence_transformers": {"activation_fn": "torch.nn.modules.activation.Hardshrink"}}
    (scores / "config.json").write_text(json.dumps(config | other))
    with pytest.raises(ModelUnavailable, match="need the activation Hardshrink"):
        load(scores, tmp_path)


def test_a_head_without_weights_is_not_filled_with_random_numbers(tmp_path: Path) -> None:
    folder = write("BERT", tmp_path / "model", MOST)
    for part in ("bert.pooler.dense.weight", "classifier.weight"):
        tensors = load_file(folder / "model.safetensors")
        kept = tensors.pop(part)
        save_file(tensors, folder / "model.safetensors", {"format": "pt"})
        with pytest.raises(ModelUnavailable, match=f"weights are missing: {part}"):
            load(folder, tmp_path / part, "torch")
        save_file(tensors | {part: kept}, folder / "model.safetensors", {"format": "pt"})


def test_bf16_is_close_enough_or_gives_way(tmp_path: Path) -> None:
    if "bf16" not in openvino_models.precisions():
        pytest.skip("this CPU has no bf16")
    folder, given = write("BERT", tmp_path / "model", MOST), pairs(MOST)
    model = load(folder, tmp_path / "cache", precision="auto")
    assert model.info.precision == "bf16", model.info.note
    np.testing.assert_allclose(ACTIVATIONS["Sigmoid"](logits(model, given))[:, 0], predicted(folder, given), atol=0.02)
