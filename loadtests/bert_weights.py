"""BERTs of published sizes with random weights: as fast as trained ones, and there without a hub."""

import shutil
from pathlib import Path
from typing import Any

SIZES = {
    "tiny": {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128},
    "minilm": {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536},
    "base": {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072},
}


def write(folder: Path, size: str, of: str = "BertModel", **config: Any) -> Path:
    """Into `folder`, in transformers' layout, which reads 512 tokens; the tokenizer is MiniLM's. `of`: the class."""
    import torch
    import transformers

    from app.encoders.weights import resolve

    torch.manual_seed(11)
    settings = transformers.BertConfig(vocab_size=30522, **SIZES[size], **config)
    getattr(transformers, of)(settings).save_pretrained(folder)
    for file in resolve("all-MiniLM-L6-v2", None, True).directory.glob("*token*"):
        shutil.copy(file, folder)
    return folder
