"""Of a long text only so much is tokenised as is read, and its tokens are those of the whole text."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Encoding, Regex, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from app.encoders.long_texts import CHARACTERS, as_far_as_read, part, reads_word_by_word
from app.encoders.weights import resolve

MAX_TOKENS = 12
GPT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+"
)
CLIP = r"<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
CORPUS = [
    "The river ran quietly below the old stone bridge, and nobody's letter came that winter.",
    "Élan vital: 12,345 naïve cafés; 3.14159 is (nearly) π! don't   stop\nbelieving\tin it",
    "水 面 にうつる 月 の かたち",
]


def trained(model: Any, trainer: Any, **parts: Any) -> Tokenizer:
    tokenizer = Tokenizer(model)
    for name, component in parts.items():
        setattr(tokenizer, name, component)
    tokenizer.train_from_iterator(CORPUS * 3, trainer)
    return tokenizer


def bpe(pre_tokenizer: object, **parts: object) -> Tokenizer:
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet, special_tokens=["<s>", "</s>"])
    return trained(models.BPE(), trainer, pre_tokenizer=pre_tokenizer, **parts)


def unigram(pre_tokenizer: object, **parts: object) -> Tokenizer:
    trainer = trainers.UnigramTrainer(vocab_size=200, special_tokens=["<s>", "</s>", "<unk>"], unk_token="<unk>")
    return trained(models.Unigram(), trainer, pre_tokenizer=pre_tokenizer, **parts)


def split(pattern: str, *, removed: bool = False) -> object:
    first = pre_tokenizers.Split(Regex(pattern), "removed" if removed else "isolated", invert=removed)
    return pre_tokenizers.Sequence([first, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def word_level() -> Tokenizer:
    trainer = trainers.WordLevelTrainer(special_tokens=["[UNK]"])
    parts = {"pre_tokenizer": pre_tokenizers.WhitespaceSplit(), "normalizer": normalizers.Lowercase()}
    return trained(models.WordLevel(unk_token="[UNK]"), trainer, **parts)


SENTENCEPIECE = normalizers.Sequence(
    [normalizers.NFKC(), normalizers.Strip(), normalizers.Replace(Regex(" {2,}"), " ")]
)
WORD_BY_WORD: dict[str, Callable[[], Tokenizer]] = {
    "WordPiece": lambda: Tokenizer.from_file(str(resolve("all-MiniLM-L6-v2").directory / "tokenizer.json")),
    "WordLevel": word_level,
    "byte-level BPE": lambda: bpe(pre_tokenizers.ByteLevel(add_prefix_space=False)),
    "byte-level BPE with a space before": lambda: bpe(pre_tokenizers.ByteLevel(add_prefix_space=True)),
    "BPE with GPT's pattern": lambda: bpe(split(GPT), normalizer=normalizers.NFC()),
    "BPE with digits apart": lambda: bpe(
        pre_tokenizers.Sequence([pre_tokenizers.Digits(True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    ),
    "CLIP's BPE": lambda: bpe(split(CLIP, removed=True), normalizer=normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )),
    "Unigram": lambda: unigram(pre_tokenizers.Metaspace(), normalizer=SENTENCEPIECE),
    "Unigram of words": lambda: unigram(
        pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()]),
        normalizer=SENTENCEPIECE,
    ),
}  # fmt: skip
LOOKS_FURTHER: dict[str, Callable[[], Tokenizer]] = {
    "BPE over the whole text": lambda: bpe(
        None, normalizer=normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    ),
    "BPE with an unknown pattern": lambda: bpe(split(r"a b|[a-z]+ [a-z]+|.")),
    "byte-level BPE without words": lambda: bpe(pre_tokenizers.ByteLevel(use_regex=False)),
    "Unigram over the whole text": lambda: unigram(pre_tokenizers.Metaspace(split=False)),
    "an unknown normalizer": lambda: bpe(pre_tokenizers.ByteLevel(), normalizer=normalizers.Replace(Regex("a b"), "c")),
}


@cache
def tokenizer_of(name: str, *, left: bool) -> Tokenizer:
    tokenizer = (WORD_BY_WORD | LOOKS_FURTHER)[name]()
    if tokenizer.post_processor is None and tokenizer.token_to_id("<s>") is not None:
        ids = [(token, tokenizer.token_to_id(token)) for token in ("<s>", "</s>")]
        tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=ids)
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_TOKENS, direction="left" if left else "right")
    return tokenizer


class Counted:
    """How many characters are tokenised."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.characters = 0
        self._tokenizer = tokenizer

    def __call__(self, texts: Sequence[str]) -> list[Encoding]:
        self.characters += sum(map(len, texts))
        encodings: list[Encoding] = self._tokenizer.encode_batch_fast(list(texts))
        return encodings


WORDS = st.sampled_from(
    ["river", "the", "don't", "Élan", "e\u0301", "\u0301", "\u200b", "\u200d", "\u0600", "12345", "3.14", "!", "...",
     "水面", "🙂", "\u00a0", "\n", "\r\n", "\t", "<s>", "[MASK]", "▁", "x" * 120, "a-b_c", "\u3000"]
)  # fmt: skip
SPACES = st.sampled_from([" ", " ", " ", "  ", "   ", "", "\n", " \n ", "\u00a0"])
TEXTS = st.lists(st.tuples(WORDS, SPACES), min_size=0, max_size=160).map(
    lambda pairs: "".join(word + space for word, space in pairs)
)


@pytest.mark.parametrize("left", [False, True])
@pytest.mark.parametrize("name", WORD_BY_WORD)
@settings(max_examples=60)
@given(texts=st.lists(st.one_of(TEXTS, st.text(max_size=400)), min_size=1, max_size=3))
def test_the_tokens_are_those_of_the_whole_text(name: str, left: bool, texts: list[str]) -> None:
    tokenizer = tokenizer_of(name, left=left)
    assert reads_word_by_word(tokenizer)
    whole = tokenizer.encode_batch_fast(texts)
    read = as_far_as_read(tokenizer, Counted(tokenizer), MAX_TOKENS, left=left)(texts)
    assert [(one.ids, bool(one.overflowing)) for one in read] == [(one.ids, bool(one.overflowing)) for one in whole]


@pytest.mark.parametrize("left", [False, True])
@pytest.mark.parametrize("name", WORD_BY_WORD)
def test_no_more_is_tokenised_than_a_few_times_what_is_read(name: str, left: bool) -> None:
    counted = Counted(tokenizer_of(name, left=left))
    text = "a river and a bridge " * 3000
    as_far_as_read(tokenizer_of(name, left=left), counted, MAX_TOKENS, left=left)([text])
    assert counted.characters <= 5 * CHARACTERS * MAX_TOKENS < len(text) / 100


@pytest.mark.parametrize("name", LOOKS_FURTHER)
def test_where_tokens_may_depend_on_other_words_the_whole_text_is_read(name: str) -> None:
    counted = Counted(tokenizer_of(name, left=False))
    assert as_far_as_read(tokenizer_of(name, left=False), counted, MAX_TOKENS) is counted


def test_an_added_token_of_several_words_is_looked_for_in_the_whole_text() -> None:
    tokenizer = bpe(pre_tokenizers.ByteLevel())
    tokenizer.add_tokens(["two words"])
    assert not reads_word_by_word(tokenizer)


@pytest.mark.parametrize(
    ("text", "left", "expected"),
    [
        ("one two three", False, "one two"),
        ("one two  three", False, "one two"),
        ("onetwothree four", False, "onetwothree four"),
        ("one two three", True, " three"),
        ("one two   three", True, "   three"),
        ("a     three", True, "a     three"),
        ("one", False, "one"),
        (" onetwothree", False, " onetwothree"),
    ],
)
def test_parts_end_where_a_word_meets_a_space(text: str, left: bool, expected: str) -> None:
    assert part(text, 9, left=left) == expected
