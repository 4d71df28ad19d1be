"""Long texts are tokenised as far as they are read. Where a tokenizer reads word by word, a part that ends at a space
has the tokens that the whole text has there."""

import json
from collections.abc import Callable, Sequence
from typing import Any

from tokenizers import Encoding
from tokenizers import Tokenizer as Backend

Encode = Callable[[Sequence[str]], list[Encoding]]

# Characters a token has at most in most texts, and how many times as much is tried where that was too little.
CHARACTERS, GROWTH = 8, 4
# So many tokens next to the cut may be others than in the whole text, where characters there are dropped or changed.
MARGIN = 8
# Pre-tokenizers that divide at spaces at least, and look at nothing beyond them; and that divide by character.
WORD_BY_WORD = {"BertPreTokenizer", "Whitespace", "WhitespaceSplit", "ByteLevel", "Metaspace"}
DIVIDES_MORE = {"Digits", "Punctuation"}
# How the patterns of GPT's family and CLIP's end: a word may have one space before it, and other white space stands for
# itself or for nothing.
PATTERNS = (r"\s+(?!\S)|\s+", r"[^\s\p{L}\p{N}]+")
# Normalizers that change characters without regard to words, and the spaces that they make one.
BY_CHARACTER = {
    *("BertNormalizer", "Lowercase", "NFC", "NFD", "NFKC", "NFKD", "Nmt", "Precompiled", "Strip", "StripAccents")
}
RUNS_OF_SPACES = (" {2,}", r"\s+")


def as_far_as_read(backend: Backend, encode: Encode, max_tokens: int, *, left: bool = False) -> Encode:
    """`encode`, which cuts to `max_tokens`, at the start if `left`; itself where the tokenizer may look further."""
    if not reads_word_by_word(backend):
        return encode

    def encode_parts(texts: Sequence[str]) -> list[Encoding]:
        characters = CHARACTERS * max_tokens
        encodings = encode([part(text, characters, left=left) for text in texts])
        while short := [i for i, one in enumerate(encodings) if len(texts[i]) > characters and not _is_enough(one)]:
            characters *= GROWTH
            again = encode([part(texts[i], characters, left=left) for i in short])
            for i, encoding in zip(short, again, strict=True):
                encodings[i] = encoding
        return encodings

    return encode_parts


def part(text: str, characters: int, *, left: bool) -> str:
    """The start, or with `left` the end, of a longer text, cut where a word meets a space; else all of it."""
    if len(text) <= characters:
        return text
    at = text.find(" ", len(text) - characters) if left else text.rfind(" ", 0, characters)
    while at > 0 and text[at - 1].isspace():
        at = text.find(" ", at + 1) if left else text.rfind(" ", 0, at)
    if at <= 0:
        return text
    return text[at:] if left else text[:at]


def reads_word_by_word(backend: Backend) -> bool:
    """Whether tokens of one word never depend on another: known of some kinds of tokenizers, and taken of no other."""
    if any(" " in token.content for token in backend.get_added_tokens_decoder().values()):
        return False
    dividers = [one for one in _parts(backend.pre_tokenizer) if one["type"] not in DIVIDES_MORE]
    return bool(dividers) and _divides(dividers[0]) and all(map(_is_by_character, _parts(backend.normalizer)))


def _is_enough(encoding: Encoding) -> bool:
    return sum(len(rest.ids) for rest in encoding.overflowing) > MARGIN


def _parts(component: Any) -> list[dict[str, Any]]:
    state = json.loads(component.__getstate__()) if component is not None else {"normalizers": []}
    parts: list[dict[str, Any]] = state.get("normalizers", state.get("pretokenizers", [state]))
    return parts


def _is_by_character(normalizer: dict[str, Any]) -> bool:
    if normalizer["type"] != "Replace":
        return normalizer["type"] in BY_CHARACTER
    return normalizer["pattern"].get("Regex") in RUNS_OF_SPACES


def _divides(pre_tokenizer: dict[str, Any]) -> bool:
    if pre_tokenizer["type"] == "Split":
        return str(pre_tokenizer["pattern"].get("Regex", "")).endswith(PATTERNS)
    # Byte-level and sentencepiece's may be set not to divide.
    divides = pre_tokenizer.get("use_regex", True) and pre_tokenizer.get("split", True)
    return divides and pre_tokenizer["type"] in WORD_BY_WORD
