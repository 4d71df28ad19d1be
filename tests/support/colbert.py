"""Tiny random ColBERTs, in the layouts of sentence-transformers, PyLate and Stanford."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from sentence_transformers import MultiVectorEncoder
from sentence_transformers.base.modules import Dense, Normalize, Transformer
from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import AutoConfig, AutoModel, PreTrainedTokenizerFast

from app.types import Vector
from tests.support.families import FAMILIES, WORDS

MOST, WIDTH, HIDDEN = 64, 20, 48
TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[unused0]", "[unused1]", *".,!?", *WORDS]
TEXTS = ["w1", "w1 w2, w3. w4!", "w5 . . w6 [MASK] w7?", " ".join(WORDS[:20]), " ".join(WORDS[:200]), "unknown, words"]


def write_plain(folder: Path, name: str = "BERT", *, added: tuple[str, ...] = (), **names: str) -> Path:
    """A transformer. Its tokenizer takes texts apart at punctuation, as BERT's does."""
    torch.manual_seed(11)
    specials = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3, "cls_token_id": 2, "sep_token_id": 3}
    size = len(TOKENS) + len(added)
    config = AutoConfig.for_model(FAMILIES[name].model_type, vocab_size=size, **specials, **dict(FAMILIES[name].config))
    model = AutoModel.from_config(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 0.12)
    model.save_pretrained(folder)
    words = Tokenizer(models.WordLevel({word: i for i, word in enumerate(TOKENS)}, unk_token="[UNK]"))
    words.normalizer = normalizers.BertNormalizer(lowercase=True)
    words.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    words.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair=None, special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    known = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    inputs = ["input_ids", "attention_mask"]
    fast = PreTrainedTokenizerFast(
        tokenizer_object=words, model_max_length=MOST, model_input_names=inputs, **known, mask_token="[MASK]", **names
    )
    fast.add_tokens([*added])
    fast.save_pretrained(folder)
    return folder


def dense(**options: Any) -> Dense:
    torch.manual_seed(12)
    return Dense(HIDDEN, WIDTH, bias=False, activation_function=torch.nn.Identity(), **options)


def write_native(
    plain: Path, folder: Path, mask: MultiVectorMask | None = None, prompts: dict[str, str] | None = None, **knobs: Any
) -> Path:
    modules = [
        Transformer(str(plain), **knobs),
        dense(module_input_name="token_embeddings"),
        *([mask] if mask is not None else []),
        Normalize(module_input_name="token_embeddings"),
    ]
    MultiVectorEncoder(modules=modules, device="cpu", prompts=prompts).save_pretrained(str(folder))
    return folder


def write_pylate(plain: Path, said: dict[str, Any]) -> Path:
    """Into `plain` itself."""
    (plain / "1_Dense").mkdir()
    dense().save(str(plain / "1_Dense"))
    config = json.loads((plain / "1_Dense" / "config.json").read_text())
    for name in ("module_input_name", "module_output_name"):
        config.pop(name, None)
    (plain / "1_Dense" / "config.json").write_text(json.dumps(config))
    types = ("sentence_transformers.models.Transformer", "pylate.models.Dense.Dense")
    listed = [{"idx": i, "name": str(i), "path": ("", "1_Dense")[i], "type": type_} for i, type_ in enumerate(types)]
    (plain / "modules.json").write_text(json.dumps(listed))
    (plain / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 48, "do_lower_case": False}))
    (plain / "config_sentence_transformers.json").write_text(json.dumps(said))
    return plain


def write_stanford(plain: Path, metadata: dict[str, Any] | None) -> Path:
    """Into `plain` itself."""
    state = {f"bert.{key}": value for key, value in load_file(plain / "model.safetensors").items()}
    state["linear.weight"] = dense().linear.weight.detach().clone()
    save_file(state, plain / "model.safetensors", {"format": "pt"})
    config = json.loads((plain / "config.json").read_text()) | {"architectures": ["HF_ColBERT"]}
    (plain / "config.json").write_text(json.dumps(config))
    if metadata is not None:
        (plain / "artifact.metadata").write_text(json.dumps(metadata))
    return plain


def oracle(folder: Path, task: str | None, texts: list[str]) -> list[Vector]:
    encoder = MultiVectorEncoder(str(folder), device="cpu", local_files_only=True)
    encode = {"query": encoder.encode_query, "document": encoder.encode_document}.get(task or "", encoder.encode)
    return [np.asarray(rows) for rows in encode(texts, convert_to_numpy=True)]
