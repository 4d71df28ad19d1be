"""Cuts texts into chunks. It only knows where a text's tokens are; whoever calls it has the tokenizer."""

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from unicodedata import category

from app.types import Span
from app.words import ChunkBy

# A sentence ends behind these, with closing quotes and brackets: where white space follows; anywhere; at a line's end.
SENTENCE_END = re.compile(
    r"(?<![.!?…؟۔।])[.!?…؟۔।]++[\"'”’»)\]]*+(?=\s)|[。！？｡]+[」』”’）\"')]*|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]+"
)
# Scripts that are written without spaces: Thai, Lao, Tibetan, Burmese, Khmer, Chinese, Japanese.
UNSPACED = re.compile("[\u0e00-\u109f\u1780-\u17ff\u2e80-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff]")
# Beside marks, what belongs to the character before it: a zero-width joiner, what follows it, an emoji's tone.
JOINER, TONES = "\u200d", range(0x1F3FB, 0x1F400)
TOKEN, WORD, SENTENCE = range(3)

Boundary = tuple[int, int, int]
"""Where a text may be cut: the index of the character, the index of the token, and what begins there."""


def chunks(
    text: str, tokens: Sequence[Span], size: int, overlap: int, by: ChunkBy, fits: Callable[[str], bool]
) -> Iterator[Span]:
    """Spans of a text, in order. Together they hold all but white space, at which none begins or ends.

    A chunk has as many whole words, or sentences, as `size` tokens make, and begins with as many of those before it as
    `overlap` tokens make. What is longer than `size` is cut: a sentence between words, a word between tokens, nothing
    between a character and its marks.

    Args:
        tokens: Where the tokens are, in order.
        fits: Whether a chunk has at most `size` tokens, read on its own: it may have others than in the whole text.
    """
    boundaries = [*_boundaries(text, tokens), (len(text), len(tokens), SENTENCE)]
    units = [*_units(boundaries, SENTENCE if by == "sentences" else WORD, size), boundaries[-1]]

    def is_within(most: int, first: int, end: int) -> bool:
        return units[end][1] - units[first][1] <= most

    before, first, end, reached = -1, 0, 0, 0
    while (covered := end) < len(units) - 1:
        while first - 1 > before and is_within(overlap, first - 1, end) and is_within(size, first - 1, end + 1):
            first -= 1
        end += 1
        while end < len(units) - 1 and is_within(size, first, end + 1):
            end += 1
        while end - first > 1 and not fits(text[units[first][0] : units[end][0]].strip()):
            if end > covered + 1:
                end -= 1
            else:
                first += 1
        piece = text[units[first][0] : units[end][0]]
        stop = units[first][0] + len(piece.rstrip())
        if piece.strip() and stop > reached:
            yield units[end][0] - len(piece.lstrip()), stop
            reached = stop
        before, first = first, end


def _boundaries(text: str, tokens: Sequence[Span]) -> Iterator[Boundary]:
    sentences = [match.end() for match in SENTENCE_END.finditer(text)]
    done = reached = 0
    yield 0, 0, SENTENCE
    for index, (start, stop) in enumerate(tokens):
        # Several tokens may be of one character.
        if 0 < start < stop and start >= reached and not _is_joined(text, start):
            level = WORD if _is_word(text, start) else TOKEN
            while done < len(sentences) and sentences[done] <= start:
                done, level = done + 1, SENTENCE
            yield start, index, level
        reached = max(reached, stop)


def _units(boundaries: Sequence[Boundary], level: int, size: int) -> Iterator[Boundary]:
    """Where the sentences begin, or the words of one that is longer than `size`, or such a word's tokens."""
    last = len(boundaries) - 1
    starts = [i for i in range(last) if i == 0 or boundaries[i][2] >= level]
    for start, end in pairwise([*starts, last]):
        if level == TOKEN or boundaries[end][1] - boundaries[start][1] <= size:
            yield boundaries[start]
        else:
            yield from _units(boundaries[start : end + 1], level - 1, size)


def _is_word(text: str, at: int) -> bool:
    before, here = text[at - 1], text[at]
    unspaced = UNSPACED.match(before) or UNSPACED.match(here)
    return before.isspace() or here.isspace() or bool(unspaced and here.isalnum())


def _is_joined(text: str, at: int) -> bool:
    here = text[at]
    return category(here)[0] == "M" or JOINER in (text[at - 1], here) or ord(here) in TONES
