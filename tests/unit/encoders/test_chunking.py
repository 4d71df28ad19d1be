"""Chunks over made-up tokens: of any text, wherever its tokens are."""

from itertools import pairwise
from typing import Any
from unicodedata import category

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.encoders.chunking import chunks
from app.types import Span

ALPHABET = st.sampled_from(
    [*"abc ab.!? \n\té", "e\u0301", "漢", "。", "กำ", "👩‍👩‍👧", "👍🏽", "\u200b", "…", "\r\n", "  "]
)
TEXTS = st.lists(ALPHABET, max_size=60).map("".join)


def by_word(text: str, most: int = 3) -> list[Span]:
    """Tokens of at most `most` characters; none of white space and of zero-width spaces, which are dropped."""
    tokens: list[Span] = []
    for i, character in enumerate(text):
        if not (character.isspace() or character == "\u200b"):
            start, stop = tokens[-1] if tokens else (-1, -1)
            if stop == i and stop - start < most:
                tokens[-1] = start, i + 1
            else:
                tokens.append((i, i + 1))
    return tokens


def by_byte(text: str, most: int = 3) -> list[Span]:
    """Tokens of bytes, white space with them: several may be of one character."""
    owners = [i for i, character in enumerate(text) for _ in character.encode()]
    return [(owners[at], owners[min(at + most, len(owners)) - 1] + 1) for at in range(0, len(owners), most)]


def cut(text: str, size: int, overlap: int = 0, by: Any = "tokens", tokens: Any = by_word) -> list[str]:
    spans = chunks(text, tokens(text), size, overlap, by, lambda piece: len(tokens(piece)) <= size)
    return [text[start:end] for start, end in spans]


@given(TEXTS, st.integers(1, 9), st.integers(0, 8), st.sampled_from(["tokens", "sentences"]), st.booleans())
def test_of_any_text(text: str, size: int, overlap: int, by: Any, bytes_: bool) -> None:
    tokenize = by_byte if bytes_ else by_word
    tokens = tokenize(text)

    def count(start: int, end: int) -> int:
        return sum(start < stop and begin < end for begin, stop in tokens)

    spans = list(chunks(text, tokens, size, min(overlap, size - 1), by, lambda piece: len(tokenize(piece)) <= size))
    covered = {place for start, end in spans for place in range(start, end)}
    assert all(text[place].isspace() for place in range(len(text)) if place not in covered)
    for start, end in spans:
        assert text[start:end].strip() == text[start:end] != ""
        assert category(text[start])[0] != "M"
        assert "\u200d" not in (text[start], text[start - 1])
    for (start, end), (next_start, next_end) in pairwise(spans):
        assert start <= next_start
        assert end < next_end
        assert next_start >= end or count(next_start, end) <= min(overlap, size - 1)


@given(TEXTS, st.integers(1, 9), st.integers(0, 8))
def test_a_chunk_has_at_most_so_many_tokens(text: str, size: int, overlap: int) -> None:
    """Where each token has no more characters than a joined one, such as an emoji of a family."""
    text = "".join(character for character in text if character in "abc .!?\n漢。…")
    for piece in cut(text, size, min(overlap, size - 1)):
        assert len(by_word(piece)) <= size


def test_whole_words_and_what_is_longer() -> None:
    assert cut("one two six ten", 2) == ["one two", "six ten"]
    assert cut("one two six ten", 3, 1) == ["one two six", "six ten"]
    assert cut("one two six ten", 3, 2) == ["one two six", "two six ten"]
    # Of two tokens: no part of it begins the next chunk, or ends this one.
    assert cut("one seven six ten", 2) == ["one", "seven", "six ten"]
    assert cut("one seven six", 3, 1) == ["one seven", "six"]
    # A word of four tokens.
    assert cut("a bcdefghijkl m", 3) == ["a bcdefg", "hijkl m"]
    assert cut("  a\n", 3) == ["a"]
    assert cut(" \n ", 3) == []
    assert cut("", 3) == []


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One. Two! Six? Ten…", ["One.", "Two!", "Six?", "Ten…"]),
        ('He said "no." She left.', ['He said "no."', "She left."]),
        ("Of 1.5 and a.b only one.", ["Of 1.5 and a.b only one."]),
        ("一二。三四！五六？", ["一二。", "三四！", "五六？"]),
        ("A title\nA line\r\n\r\nOther", ["A title", "A line", "Other"]),
        ("क ख। ग घ।", ["क ख।", "ग घ।"]),
        ("Really?! Yes.", ["Really?!", "Yes."]),
    ],
)
def test_sentences(text: str, sentences: list[str]) -> None:
    most = max(len(by_word(sentence)) for sentence in sentences)
    found = cut(text, most, by="sentences")
    # Short ones go together.
    assert "".join("".join(found).split()) == "".join(text.split())
    assert all(any(piece.endswith(sentence) for sentence in sentences) for piece in found)


def test_sentences_that_fit_go_together_and_overlap_whole() -> None:
    text = "One. Two. A b c d e f g. Ten."
    assert cut(text, 4, by="sentences") == ["One. Two.", "A b c d", "e f g.", "Ten."]
    assert cut(text, 4, 2, by="sentences")[:2] == ["One. Two.", "Two. A b"]


def test_characters_stay_whole() -> None:
    family = "👩‍👩‍👧"
    assert cut(f"{family}{family}", 1, tokens=by_byte)[0].count("\u200d") in (0, 2, 4)
    assert cut("e\u0301" * 3, 1, tokens=lambda text: [(i, i + 1) for i in range(len(text))]) == ["e\u0301"] * 3
    assert cut("👍🏽👍🏽", 1, tokens=lambda text: by_byte(text, 2)) == ["👍🏽"] * 2


def test_a_chunk_that_has_more_tokens_on_its_own_is_shorter() -> None:
    """A cut may add tokens: behind a space a word is one, without it two."""
    text = "aa bb cc dd"
    tokens = [(0, 2), (2, 5), (5, 8), (8, 11)]
    found = [*chunks(text, tokens, 2, 0, "tokens", lambda piece: len(piece) <= 2)]
    assert [text[start:end] for start, end in found] == ["aa", "bb", "cc", "dd"]
    assert [*chunks(text, tokens, 3, 2, "tokens", lambda piece: len(piece) <= 5)] == [(0, 5), (3, 8), (6, 11)]


def test_a_long_row_of_ends_is_read_once() -> None:
    """From each of them anew it would take hours, and hold up everybody."""
    text = "." * 300_000 + "…»" * 3 + "a"
    assert cut(text, 10**6, by="sentences", tokens=lambda text: [(0, len(text))]) == [text]
