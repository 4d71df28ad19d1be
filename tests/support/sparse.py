"""Tiny random sparse encoders, as sentence-transformers saves them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sentence_transformers import SparseEncoder
from sentence_transformers.base.modules import Router, Transformer
from sentence_transformers.sparse_encoder.modules import SparseStaticEmbedding, SpladePooling
from transformers import AutoConfig, AutoModelForMaskedLM

from app.config.args import ModelArgs
from app.encoders.sparse import load_sparse_model
from app.encoders.text import TextModel
from app.errors import InvalidItem
from app.types import TextInput
from app.vectors.ragged import unpack_sparse
from tests.support.families import FAMILIES, VOCABULARY, WORDS
from tests.support.rerankers import TYPED, tokenizer

MOST = 96


def write_plain(name: str, folder: Path, max_tokens: int) -> Path:
    """A masked language model in transformers' layout, of whose weights about every second is not zero."""
    torch.manual_seed(11)
    family = FAMILIES[name]
    specials = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3, "cls_token_id": 2, "sep_token_id": 3}
    config = AutoConfig.for_model(family.model_type, vocab_size=VOCABULARY, **specials, **family.config)
    model = AutoModelForMaskedLM.from_config(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 0.2)
    model.save_pretrained(folder)
    tokenizer(max_tokens, typed=name in TYPED).save_pretrained(folder)
    return folder


def splade(plain: Path, strategy: str = "max", activation: str = "relu") -> list[Any]:
    return [Transformer(str(plain), transformer_task="fill-mask"), SpladePooling(strategy, activation)]


def table(max_tokens: int) -> SparseStaticEmbedding:
    weights = torch.linspace(0, 3, VOCABULARY).sin().abs()
    weights[1] = 0.0
    return SparseStaticEmbedding(tokenizer(max_tokens, typed=True), weights)


def routed(plain: Path, max_tokens: int) -> Router:
    return Router.for_query_document(query_modules=[table(max_tokens)], document_modules=splade(plain))


def write(modules: list[Any], folder: Path, **options: Any) -> Path:
    SparseEncoder(modules=modules, device="cpu", **options).save_pretrained(str(folder))
    return folder


def load(folder: Path, cache: Path, backend: str = "auto", precision: str = "f32") -> TextModel:
    args = ModelArgs(id=str(folder), backend=backend, device="cpu", precision=precision, cache_dir=str(cache))
    return load_sparse_model(args, threads=2, offline=True)


def texts() -> list[str]:
    rng = np.random.default_rng(3)
    return [" ".join(rng.choice(WORDS, size)) for size in (1, 2, 7, 20, MOST - 2, MOST - 1, 3 * MOST)]


def dense(model: TextModel, inputs: Sequence[TextInput]) -> NDArray[Any]:
    read = model.read(inputs)
    out = np.zeros((len(inputs), model.info.dimensions), np.float32)
    for row, packed in zip(out, model.run([one.ids for one in read if not isinstance(one, InvalidItem)]), strict=True):
        indices, values = unpack_sparse(packed)
        assert np.all(values != 0)
        assert np.all(np.diff(indices.astype(int)) > 0)
        row[indices] = values
    return out


def right(folder: Path, given: list[str], task: str = "", **options: Any) -> Any:
    encoder = SparseEncoder(str(folder), device="cpu", local_files_only=True)
    encode = {"query": encoder.encode_query, "document": encoder.encode_document}.get(task, encoder.encode)
    return encode(given, convert_to_sparse_tensor=False, **options).numpy()
