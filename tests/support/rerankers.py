"""Tiny random cross-encoders and classifiers of the families that people serve."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedTokenizerFast

from app.config.args import ModelArgs
from app.encoders.rerank import RerankModel, load_rerank_model
from app.types import Pair, Vector
from tests.support.families import FAMILIES, SPECIALS, VOCABULARY, WORDS

# Which of them tell the two texts apart by their segment.
TYPED = {"BERT", "ELECTRA", "ALBERT", "DeBERTa-v2/v3"}


def write(name: str, folder: Path, max_tokens: int, labels: Sequence[str] = ("relevance",), **config: Any) -> Path:
    """The directory of a twin, in transformers' layout. Its scores differ by more than the tolerances."""
    torch.manual_seed(11)
    family = FAMILIES[name]
    specials = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3, "cls_token_id": 2, "sep_token_id": 3}
    named = {"id2label": dict(enumerate(labels)), "label2id": {label: i for i, label in enumerate(labels)}}
    settings = AutoConfig.for_model(
        family.model_type, vocab_size=VOCABULARY, **specials, **named, **(dict(family.config) | config)
    )
    model = AutoModelForSequenceClassification.from_config(settings).eval()
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 0.4 if key.startswith("classifier.") else 0.12)
    model.save_pretrained(folder)
    tokenizer(max_tokens, typed=name in TYPED).save_pretrained(folder)
    return folder


def tokenizer(max_tokens: int, *, typed: bool) -> PreTrainedTokenizerFast:
    words = Tokenizer(models.WordLevel({word: i for i, word in enumerate([*SPECIALS, *WORDS])}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    words.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1" if typed else "[CLS] $A [SEP] [SEP] $B [SEP]",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    types = ["token_type_ids"] if typed else []
    inputs = ["input_ids", *types, "attention_mask"]
    return PreTrainedTokenizerFast(
        tokenizer_object=words, model_max_length=max_tokens, model_input_names=inputs, **names
    )


def pairs(max_tokens: int) -> list[tuple[str, str]]:
    """Short and long, either text the longer, and some of which one or both are cut."""
    rng = np.random.default_rng(3)
    half = max_tokens // 2
    sizes = [(1, 1), (3, 20), (20, 3), (half - 2, half - 2), (half, half), (5, 2 * max_tokens), (2 * max_tokens, 5)]
    sizes += [(2 * max_tokens, 3 * max_tokens), (half + 10, half + 11), (0, 4)]
    return [(" ".join(rng.choice(WORDS, one)), " ".join(rng.choice(WORDS, two))) for one, two in sizes]


def load(folder: Path, cache: Path, backend: str = "auto", precision: str = "f32") -> RerankModel:
    args = ModelArgs(id=str(folder), backend=backend, device="cpu", precision=precision, cache_dir=str(cache))
    return load_rerank_model(args, threads=2, offline=True)


def logits(model: RerankModel, given: Sequence[tuple[str, str]]) -> Vector:
    read = model.read([Pair(*pair) for pair in given])
    return model.run([one.ids for one in read])  # type: ignore[union-attr]
