"""Texts -> token ids, straight through the `tokenizers` library; no padding, no tensors.

Ids that a client sends are checked here. Those of another tokenizer would give a meaningless vector, so they must
begin and end as this tokenizer's do.
"""

import json
from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer as Backend
from tokenizers import normalizers

from app.encoders.long_texts import as_far_as_read
from app.errors import InvalidItem
from app.types import Prompted, TextInput, Token, TokenIds, TokenizedText

# So few characters are tokenised faster one text after the other: the library's own threads cost more than they save,
# and compete for CPUs with the model's.
FEW_CHARACTERS = 4096

FOREIGN = (
    "Send texts, or ids made by this model's own tokenizer with its special tokens. "
    "LangChain's OpenAIEmbeddings sends OpenAI's ids unless it is made with check_embedding_ctx_length=False."
)


class Tokenizer:
    """A model's tokenizer. Thread-safe.

    Args:
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
        self._max_tokens = max_tokens
        self._prompt = prompt
        self._backend = backend
        # Does not track offsets, which nobody asks for; older versions lack it.
        encode = getattr(backend, "encode_batch_fast", backend.encode_batch)
        self._encode = as_far_as_read(backend, encode, max_tokens)
        self._encode_from_end = _cutting_the_start(backend, max_tokens)
        self._begin, self._end = _special_tokens(backend)

    def __call__(self, texts: Sequence[str], prompt: str | None = None) -> list[TokenizedText]:
        prefix = self._prompt if prompt is None else prompt
        return self._tokenized(self._encode, [prefix + text for text in texts] if prefix else list(texts))

    def read(self, inputs: Sequence[TextInput]) -> list[TokenizedText | InvalidItem]:
        """One outcome per input, in order; only token ids can be wrong."""
        if all(isinstance(one, str) for one in inputs):
            return [*self([one for one in inputs if isinstance(one, str)])]
        return [self._read(one) for one in inputs]

    def tokens(self, texts: Sequence[str], prompt: str | None, special: bool) -> list[list[Token]]:
        """What each text is made of, behind its prompt and uncut; `special`: with the tokens around it."""
        prefix = self._prompt if prompt is None else prompt
        whole = [prefix + text for text in texts]
        encodings = self._uncut.encode_batch(whole, add_special_tokens=special)
        return [_tokens(encoding, text) for encoding, text in zip(encodings, whole, strict=True)]

    @cached_property
    def _uncut(self) -> Backend:
        """Made when first asked for: most replicas never are."""
        other = Backend.from_str(self._backend.to_str())
        other.no_truncation()
        return other

    def _read(self, one: TextInput) -> TokenizedText | InvalidItem:
        if isinstance(one, TokenIds):
            return self._checked(one.ids)
        plain = Prompted(one) if isinstance(one, str) else one
        prefix = self._prompt if plain.prompt is None else plain.prompt
        encode = self._encode if plain.cut == "end" else self._encode_from_end
        return self._tokenized(encode, [prefix + plain.text])[0]

    def _checked(self, ids: Sequence[int]) -> TokenizedText | InvalidItem:
        begin, end = self._begin, self._end
        if not begin and not end:
            return InvalidItem(f"This model's tokenizer marks no ends, so ids can't be told from others'. {FOREIGN}")
        whole = len(ids) >= len(begin) + len(end)
        if not whole or (*ids[: len(begin)],) != begin or (*ids[len(ids) - len(end) :],) != end:
            shape = " … ".join(["".join(f"[{id_}]" for id_ in part) for part in (begin, end) if part])
            return InvalidItem(f"These token ids don't begin and end as this model's do ({shape}). {FOREIGN}")
        if not all(0 <= id_ < self.vocabulary for id_ in ids):
            return InvalidItem(f"A token id is not below {self.vocabulary}, the size of the vocabulary. {FOREIGN}")
        if len(ids) > self._max_tokens:
            return InvalidItem(f"{len(ids)} token ids; this model reads at most {self._max_tokens}.")
        return TokenizedText(ids=ids, truncated=False)

    @staticmethod
    def _tokenized(encode: Any, texts: list[str]) -> list[TokenizedText]:
        encodings = encode(texts) if sum(map(len, texts)) > FEW_CHARACTERS else [encode([text])[0] for text in texts]
        # What does not fit is kept aside as "overflowing", so its presence is the exact answer.
        return [TokenizedText(ids=one.ids, truncated=bool(one.overflowing)) for one in encodings]


def _cutting_the_start(backend: Backend, max_tokens: int) -> Any:
    other = Backend.from_str(backend.to_str())
    other.enable_truncation(max_tokens, direction="left")
    return as_far_as_read(other, getattr(other, "encode_batch_fast", other.encode_batch), max_tokens, left=True)


def _tokens(encoding: Any, text: str) -> list[Token]:
    places = [0, *accumulate(len(character.encode()) for character in text)]
    return [
        Token(id_, name, True, None, None)
        if special
        else Token(id_, text[start:stop], False, places[start], places[stop])
        for id_, name, special, (start, stop) in zip(
            encoding.ids, encoding.tokens, encoding.special_tokens_mask, encoding.offsets, strict=True
        )
    ]


def _special_tokens(backend: Backend) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """What the tokenizer puts before and behind every text."""
    encoding = backend.encode("a")
    mask = [*encoding.special_tokens_mask]
    before = mask.index(0) if 0 in mask else len(mask)
    behind = mask[::-1].index(0) if 0 in mask else 0
    return tuple(encoding.ids[:before]), tuple(encoding.ids[len(mask) - behind :])


def _lowers(normalizer: dict[str, Any] | None) -> bool:
    if normalizer is None:
        return False
    parts = normalizer.get("normalizers", [])
    return normalizer["type"] == "Lowercase" or bool(normalizer.get("lowercase")) or any(map(_lowers, parts))
