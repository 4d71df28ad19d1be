"""Late chunking: a whole text goes through the model, and its chunks are pooled behind it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.errors import InvalidItem
from app.types import Span

CONTEXT = 4  # a window begins a fourth of its length before its first chunk


@dataclass(frozen=True, slots=True)
class Window:
    """A part of a text that is read at once, with its special tokens and prompt. `spans`: of its chunks, in `ids`;
    `chunks`: which these are."""

    ids: Sequence[int]
    spans: Sequence[Span]
    chunks: Sequence[int]


def token_spans(chunks: Sequence[Span], tokens: Sequence[Span]) -> list[Span]:
    """Spans of characters -> spans of the tokens that are wholly or partly there. Raises InvalidItem naming the first
    chunk without any."""
    starts, stops = np.array(tokens, np.int64).reshape(-1, 2).T
    stops = np.maximum.accumulate(stops)
    spans = [
        (int(np.searchsorted(stops, start, "right")), int(np.searchsorted(starts, end, "left")))
        for start, end in chunks
    ]
    for i, (first, end) in enumerate(spans):
        if first >= end:
            raise InvalidItem("It has no tokens of this model, so there is nothing to pool.", str(i))
    return spans


def windows(chunks: Sequence[Span], total: int, most: int) -> list[tuple[Span, list[int]]]:
    """Windows of at most `most` of `total` tokens, each with the chunks that it is read for; one where all fit. The
    chunks' starts and ends ascend. Raises InvalidItem naming the first chunk that is longer than a window."""
    found: list[tuple[Span, list[int]]] = []
    for i, (first, end) in enumerate(chunks):
        if end - first > most:
            raise InvalidItem(f"It has {end - first} tokens; the model reads at most {most} at once.", str(i))
        if not found or end > found[-1][0][1]:
            start = max(0, min(max(first - most // CONTEXT, end - most), total - most))
            found.append(((start, min(total, start + most)), []))
        found[-1][1].append(i)
    return found


def membership(spans: Sequence[Span], length: int) -> NDArray[np.float32]:
    """(spans, length): 1 where a token is of a span. The rows are filled up to a power of two, of which backends build
    few kernels."""
    table = np.zeros((1 << (len(spans) - 1).bit_length(), length), np.float32)
    for row, (first, end) in enumerate(spans):
        table[row, first:end] = 1
    table[len(spans) :, 0] = 1
    return table
