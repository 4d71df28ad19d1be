"""Tokenizers that give tokens a segment, or put special tokens and padding elsewhere than BERT's do."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from app.errors import ModelUnavailable
from tests.support.families import FAMILIES, SPECIALS, WORDS, load, write

SEGMENTS = {
    "XLNet": (FAMILIES["XLNet"], "$A:0 [SEP]:0 [CLS]:2", "left"),
    "XLNet, not left": (FAMILIES["XLNet"], "$A:0 [SEP]:0 [CLS]:2", "right"),
    "XLNet by its last token": (replace(FAMILIES["XLNet"], pooling="lasttoken"), "$A:0 [SEP]:0 [CLS]:2", "left"),
    "XLNet by its maximum": (replace(FAMILIES["XLNet"], pooling="max"), "$A:0 [SEP]:0 [CLS]:2", "left"),
    "XLNet by its first": (replace(FAMILIES["XLNet"], pooling="cls"), "$A:0 [SEP]:0 [CLS]:2", "left"),
    "XLNet, text of the second": (FAMILIES["XLNet"], "$A:1 [SEP]:0 [CLS]:2", "left"),
    "BERT, both ends": (FAMILIES["BERT"], "[CLS]:1 $A:0 [SEP]:1", "right"),
    "RoFormer": (FAMILIES["RoFormer"], "[CLS]:0 $A:0 [SEP]:1", "right"),
    "BigBird": (FAMILIES["BigBird"], "[CLS]:1 $A:0 [SEP]:0", "right"),
    "DistilBERT takes none": (FAMILIES["DistilBERT"], "[CLS]:0 $A:0 [SEP]:1", "right"),
}
TEXTS = [" ".join(WORDS[start : start + count]) for start, count in ((0, 1), (5, 3), (9, 20), (1, 60), (2, 200))]


def tokenizer(template: str, side: str, *inputs: str) -> PreTrainedTokenizerFast:
    words = Tokenizer(models.WordLevel({word: i for i, word in enumerate([*SPECIALS, *WORDS])}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    words.post_processor = processors.TemplateProcessing(
        single=template, pair=None, special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    return PreTrainedTokenizerFast(
        tokenizer_object=words,
        padding_side=side,
        model_max_length=128,
        **names,
        model_input_names=["input_ids", *inputs, "attention_mask"],
    )


@pytest.mark.parametrize("name", SEGMENTS)
@pytest.mark.parametrize("backend", ["openvino", "torch"])
def test_segments_are_sentence_transformers(name: str, backend: str, tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    family, template, side = SEGMENTS[name]
    folder = write(family, tmp_path / "twin", 128)
    tokenizer(template, side, "token_type_ids").save_pretrained(folder)
    oracle = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    model = load(folder, tmp_path / "cache", backend)
    assert model.info.backend == backend
    theirs = oracle.encode(TEXTS, batch_size=1), oracle.encode(TEXTS, batch_size=5)
    ids = [text.ids for text in model.tokenize(TEXTS)]
    mine = np.concatenate([model.run([one]) for one in ids]), model.run(ids)
    for rows, right in zip(mine, theirs, strict=True):
        assert (np.vecdot(rows, right) / np.linalg.norm(rows, axis=1) / np.linalg.norm(right, axis=1)).min() > 0.9999
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), np.linalg.norm(right, axis=1), rtol=1e-3)


def test_a_model_whose_vectors_depend_on_what_is_beside_them_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "funnel", "architectures": ["FunnelModel"]}')
    with pytest.raises(ModelUnavailable, match="is a Funnel Transformer, whose vector of a text depends on"):
        load(tmp_path, tmp_path)
