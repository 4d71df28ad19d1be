"""What an answer is worth. Pure: an answer and what was asked go in, a verdict comes out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import orjson
from numpy.typing import NDArray

from loadtests.faults.oracle import TOLERANCE, Book
from loadtests.http_load import Answer

# good: 200 with the right vectors. refused: 429 that says when to come back. wrong: 200 with anything else in it
# than was asked for. failed: every other answer, and none.
Verdict = Literal["good", "refused", "wrong", "failed"]


@dataclass(frozen=True, slots=True)
class Judged:
    verdict: Verdict
    status: int
    words: str = ""
    hits: int = 0


def judge(answer: Answer, asked: Sequence[int], book: Book) -> Judged:
    """`asked`: the indices of the texts that were sent, in order."""
    if answer.status == 429:
        return _refusal(answer)
    if answer.status != 200:
        return Judged("failed", answer.status, answer.body[:300].decode(errors="replace"))
    try:
        data = orjson.loads(answer.body)
        rows = np.asarray(data["embeddings"], np.float32)
        hits = int(data["cacheHits"])
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        return Judged("wrong", 200, f"unreadable: {error!r}")
    if words := compare(rows, asked, book):
        return Judged("wrong", 200, words)
    return Judged("good", 200, hits=hits)


def compare(rows: NDArray[np.float32], asked: Sequence[int], book: Book) -> str | None:
    """What is wrong with these rows; None: nothing."""
    expected = book.vectors[list(asked)]
    if rows.shape != expected.shape:
        return f"the shape is {rows.shape}, not {expected.shape}"
    apart = np.abs(rows - expected).max(axis=1)
    bad = np.flatnonzero(~(apart <= TOLERANCE))  # so written that NaN is bad
    if not bad.size:
        return None
    first = int(bad[0])
    near = int(np.abs(book.vectors - rows[first]).max(axis=1).argmin())
    whose = "nobody's" if np.abs(book.vectors[near] - rows[first]).max() > TOLERANCE else f"text {near}'s"
    return f"row {first} of {len(asked)} is {apart[first]:.2g} off text {asked[first]}; it is {whose}"


def _refusal(answer: Answer) -> Judged:
    seconds = header(answer.head, b"retry-after")
    if seconds is None or not seconds.isdigit() or int(seconds) < 1:
        return Judged("failed", 429, f"429 with Retry-After: {seconds!r}")
    return Judged("refused", 429)


def header(head: bytes, name: bytes) -> bytes | None:
    """The value of a header, by its name in lower case."""
    for line in head.split(b"\r\n")[1:]:
        key, _, value = line.partition(b":")
        if key.strip().lower() == name:
            return value.strip()
    return None
