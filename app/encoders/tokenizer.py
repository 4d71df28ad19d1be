"""Texts -> token ids, straight through the `tokenizers` library; no padding, no tensors."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer as Backend
from tokenizers import normalizers

from app.types import TokenizedText


class Tokenizer:
    """A model's tokenizer. Thread-safe.

    Args:
        file: tokenizer.json.
        max_tokens: Longer texts are cut to this many tokens, special ones included.
        lower_case: Lower the text first, whatever the file says.
        prompt: Put before every text unless the caller gives another.
    """

    def __init__(self, file: Path, max_tokens: int, lower_case: bool = False, prompt: str = "") -> None:
        backend = Backend.from_file(str(file))
        backend.no_padding()
        backend.enable_truncation(max_tokens)
        if lower_case and not _lowers(json.loads(backend.to_str())["normalizer"]):
            own = [backend.normalizer] if backend.normalizer is not None else []
            backend.normalizer = normalizers.Sequence([normalizers.Lowercase(), *own])
        self.vocabulary = backend.get_vocab_size()
        self._prompt = prompt
        # Does not track offsets, which nobody asks for; older versions lack it.
        self._encode = getattr(backend, "encode_batch_fast", backend.encode_batch)

    def __call__(self, texts: Sequence[str], prompt: str | None = None) -> list[TokenizedText]:
        prefix = self._prompt if prompt is None else prompt
        return [
            # What does not fit is kept aside as "overflowing", so its presence is the exact answer.
            TokenizedText(ids=encoding.ids, truncated=bool(encoding.overflowing))
            for encoding in self._encode([prefix + text for text in texts] if prefix else list(texts))
        ]


def _lowers(normalizer: dict[str, Any] | None) -> bool:
    if normalizer is None:
        return False
    parts = normalizer.get("normalizers", [])
    return normalizer["type"] == "Lowercase" or bool(normalizer.get("lowercase")) or any(map(_lowers, parts))
