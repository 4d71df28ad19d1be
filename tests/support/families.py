"""Tiny random twins of the families of text models that people serve, in sentence-transformers' layout.

Windows are short and weights wider than usual, so that a text crosses every window and vectors differ by much more
than the tolerances. The tokenizer is one for all but Qwen2, whose class reads no words: how each reads its own files is
tested elsewhere.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForTextEncoding,
    LongT5Config,
    LongT5EncoderModel,
    PreTrainedTokenizerFast,
    Qwen2Tokenizer,
)

from app.config.args import ModelArgs
from app.encoders.text import TextModel, load_text_model
from app.types import Vector

WORDS = [f"w{number}" for number in range(300)]
SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
COUNTED_FROM_PADDING = {"roberta", "xlm-roberta", "camembert", "mpnet", "longformer", "jina_embeddings_v3"}
VOCABULARY = len(SPECIALS) + len(WORDS)
SIZE = {"hidden_size": 48, "num_attention_heads": 4, "num_hidden_layers": 2, "intermediate_size": 96}
GROUPED = SIZE | {"num_key_value_heads": 2}
T5 = {"d_model": 48, "d_kv": 12, "num_heads": 4, "num_layers": 2, "d_ff": 96, "is_encoder_decoder": True}
LLAMA3 = {"rope_type": "llama3", "rope_theta": 500_000.0, "factor": 8.0, "low_freq_factor": 1.0}
LLAMA3 |= {"high_freq_factor": 4.0, "original_max_position_embeddings": 512}


@dataclass(frozen=True)
class Family:
    """`models`: published ones of this kind. `openvino`: whether its conversion is right."""

    model_type: str
    models: str
    pooling: str = "mean"
    config: Mapping[str, Any] = field(default_factory=lambda: SIZE)
    openvino: bool = True


def _positions(count: int, **more: Any) -> dict[str, Any]:
    return SIZE | {"max_position_embeddings": count} | more


FAMILIES = {
    "BERT": Family("bert", "all-MiniLM-L6-v2, bge-*-en-v1.5, e5-*-v2, gte-base", "cls", _positions(512)),
    "RoBERTa": Family("roberta", "all-distilroberta-v1", config=_positions(514)),
    "XLM-R": Family("xlm-roberta", "bge-m3, multilingual-e5, snowflake-arctic-embed-l-v2.0", "cls", _positions(1026)),
    "CamemBERT": Family("camembert", "sentence-camembert-base", config=_positions(514)),
    "MPNet": Family("mpnet", "all-mpnet-base-v2", config=_positions(514)),
    "DistilBERT": Family(
        *("distilbert", "msmarco-distilbert-base-v3", "mean"),
        {"dim": 48, "n_heads": 4, "n_layers": 2, "hidden_dim": 96},
    ),
    "ELECTRA": Family("electra", "electra-base sentence models", config=_positions(512, embedding_size=24)),
    "ALBERT": Family("albert", "paraphrase-albert-small-v2", config=_positions(512, embedding_size=24)),
    "DeBERTa": Family(
        *("deberta", "deberta-base sentence models", "mean"),
        _positions(512, relative_attention=True, pos_att_type=["p2c", "c2p"], position_biased_input=False),
    ),
    "DeBERTa-v2/v3": Family(
        *("deberta-v2", "deberta-v3 sentence models", "mean"),
        _positions(
            *(512,),
            relative_attention=True,
            position_buckets=256,
            norm_rel_ebd="layer_norm",
            share_att_key=True,
            pos_att_type=["p2c", "c2p"],
            position_biased_input=False,
            type_vocab_size=0,
        ),
    ),
    "ModernBERT": Family(
        *("modernbert", "gte-modernbert-base, nomic modernbert-embed-base", "cls"),
        _positions(
            *(2048,),
            num_hidden_layers=3,
            local_attention=32,
            layer_types=["full_attention", "sliding_attention", "sliding_attention"],
        ),
    ),
    "NomicBERT": Family("nomic_bert", "nomic-embed-text-v1.5 (transformers' layout)", config=_positions(2048)),
    "GTE": Family("gte", "gte-base-en-v1.5 (transformers' layout)", "cls", _positions(2048)),
    "EuroBERT": Family("eurobert", "EuroBERT-210m sentence models", config=_positions(2048)),
    "RoFormer": Family("roformer", "roformer sentence models", config=_positions(1536, embedding_size=48)),
    "XLNet": Family("xlnet", "xlnet sentence models", config={"d_model": 48, "n_head": 4, "n_layer": 2, "d_inner": 96}),
    "Jina v3": Family("jina_embeddings_v3", "jina-embeddings-v3 (transformers' layout)", config=_positions(2050)),
    "Longformer": Family(
        *("longformer", "longformer sentence models", "mean"),
        _positions(1026, attention_window=[32, 32]),
        openvino=False,
    ),
    "BigBird": Family(
        *("big_bird", "bigbird sentence models", "mean"), _positions(1024, block_size=16, num_random_blocks=2)
    ),
    "T5": Family("t5", "sentence-t5, gtr-t5, instructor", config=T5),
    "mT5": Family("mt5", "mt5 sentence models", config=T5 | {"feed_forward_proj": "gated-gelu"}),
    "GPT-2": Family(
        *("gpt2", "SGPT of this kind", "weightedmean"), {"n_embd": 48, "n_head": 4, "n_layer": 2, "n_positions": 1024}
    ),
    "Qwen2": Family(
        "qwen2", "jina-code-embeddings-0.5b, -1.5b", "lasttoken", GROUPED | {"max_position_embeddings": 2048}
    ),
    "Qwen3": Family(
        *("qwen3", "Qwen3-Embedding-0.6B", "lasttoken"), GROUPED | {"max_position_embeddings": 2048, "head_dim": 12}
    ),
    "Mistral": Family(
        *("mistral", "e5-mistral-7b-instruct, SFR-Embedding-Mistral", "lasttoken"),
        GROUPED | {"max_position_embeddings": 2048, "head_dim": 12, "sliding_window": 64},
    ),
    "Llama": Family(
        *("llama", "Llama-3 sentence models", "lasttoken"),
        GROUPED | {"max_position_embeddings": 2048, "rope_parameters": LLAMA3},
    ),
    "Gemma 3": Family(
        *("gemma3_text", "EmbeddingGemma-300m", "mean"),
        GROUPED
        | {"max_position_embeddings": 2048, "head_dim": 12, "num_hidden_layers": 3, "query_pre_attn_scalar": 12}
        | {"use_bidirectional_attention": True, "sliding_window": 32}
        | {"layer_types": ["sliding_attention", "sliding_attention", "full_attention"]},
    ),
}


def positions(family: Family) -> int:
    """How many tokens it reads at most."""
    table = int(family.config.get("max_position_embeddings") or family.config.get("n_positions") or 512)
    # Those of RoBERTa's kind count from the padding token's id on.
    return table - 2 if family.model_type in COUNTED_FROM_PADDING else table


def write(family: Family, folder: Path, max_tokens: int, pooling: str | None = None) -> Path:
    """The directory of a twin."""
    torch.manual_seed(11)
    specials = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3, "cls_token_id": 2, "sep_token_id": 3}
    config = AutoConfig.for_model(family.model_type, vocab_size=VOCABULARY, **specials, **family.config)
    if type(config) is LongT5Config:
        model = LongT5EncoderModel(config).eval()
    else:
        model = (AutoModelForTextEncoding if config.is_encoder_decoder else AutoModel).from_config(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 0.12)
    model.save_pretrained(folder)
    tokenizer = _bytes(max_tokens) if family.model_type == "qwen2" else _words(max_tokens)
    tokenizer.save_pretrained(folder)
    modules = [("", "Transformer"), ("1_Pooling", "Pooling")]
    listed = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (path, kind) in enumerate(modules)
    ]
    (folder / "modules.json").write_text(json.dumps(listed))
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": max_tokens}))
    (folder / "1_Pooling").mkdir()
    settings = {"word_embedding_dimension": 48, "pooling_mode": pooling or family.pooling}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(settings))
    return folder


def _bytes(max_tokens: int) -> Qwen2Tokenizer:
    letters = {letter: place for place, letter in enumerate([*SPECIALS, *"Ġw0123456789", "Ġw"])}
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "eos_token": "[SEP]"}
    return Qwen2Tokenizer(vocab=letters, merges=[("Ġ", "w")], model_max_length=max_tokens, **names)


def _words(max_tokens: int) -> PreTrainedTokenizerFast:
    words = Tokenizer(models.WordLevel({word: i for i, word in enumerate([*SPECIALS, *WORDS])}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    words.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair=None, special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    return PreTrainedTokenizerFast(tokenizer_object=words, model_max_length=max_tokens, **names)


def texts(max_tokens: int) -> list[str]:
    """Short and long, around every window, and one that is cut."""
    rng = np.random.default_rng(3)
    counts = (1, 3, 6, 20, 30, 62, 100, max_tokens - 2, 2 * max_tokens)
    return [" ".join(rng.choice(WORDS, count)) for count in counts]


def reference(folder: Path, ids: Sequence[Sequence[int]]) -> Vector:
    """sentence-transformers' vectors of token ids, each row alone: nothing is padded."""
    model = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    with torch.inference_mode():
        rows = [
            model({"input_ids": torch.tensor([one]), "attention_mask": torch.ones((1, len(one)), dtype=torch.long)})
            for one in ids
        ]
    return np.concatenate([row["sentence_embedding"].numpy() for row in rows])


def load(folder: Path, cache: Path, backend: str = "auto", precision: str = "f32") -> TextModel:
    args = ModelArgs(id=str(folder), backend=backend, device="cpu", precision=precision, cache_dir=str(cache))
    return load_text_model(args, threads=2, offline=True)


def cosines(model: TextModel, ids: Sequence[Sequence[int]], right: Vector) -> Vector:
    """The least of each text, padded beside the others and alone; -1 where norms differ by more than 1 %."""
    least = np.ones(len(ids), np.float32)
    for rows in (model.run(ids), np.concatenate([model.run([one]) for one in ids])):
        norms, norms_right = np.linalg.norm(rows, axis=1), np.linalg.norm(right, axis=1)
        cosine = np.vecdot(rows, right) / (norms * norms_right)
        least = np.minimum(least, np.where(np.abs(norms / norms_right - 1) < 0.01, cosine, -1))
    return least
