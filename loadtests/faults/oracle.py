"""The texts that are sent and the vectors that must come back: the model itself, in process, without a service."""

import random
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from loadtests.workloads import words

MODEL = "sentence-transformers/all-MiniLM-L6-v2"
TOLERANCE = 1e-3
# The largest component of a difference is at least its norm divided by the root of the dimensions: two texts this
# far apart differ by ten tolerances somewhere, so that one's vector in the other's place is noticed.
LEAST_DISTANCE = 10 * TOLERANCE * 384**0.5


class Asked(NamedTuple):
    """The texts of one request and whose vectors must come back, in order."""

    indices: list[int]
    texts: list[str]


@dataclass(frozen=True, slots=True)
class Book:
    """Texts and their vectors, row by row: (n, dimensions) float32."""

    texts: Sequence[str]
    vectors: NDArray[np.float32]

    def __post_init__(self) -> None:
        if self.vectors.shape[0] != len(self.texts):
            raise ValueError(f"{self.vectors.shape[0]} vectors for {len(self.texts)} texts")
        if (distance := _least_distance(self.vectors)) < LEAST_DISTANCE:
            raise ValueError(f"two texts are {distance:.3g} apart: a swap of their vectors would not be seen")

    def __len__(self) -> int:
        return len(self.texts)

    def in_turn(self, number: int, size: int, most: int) -> Asked:
        """Request `number`, if none has more than `most` texts: none is sent twice, so that no cache can answer."""
        places = range(number * most, number * most + size)
        indices = [place % len(self.texts) for place in places]
        return Asked(indices, [self._variant(place) for place in places])

    def drawn(self, number: int, most: int) -> Asked:
        """1 to `most` texts, the first ones more often, so that a cache has work; the same for the same number."""
        pick = random.Random(number)
        indices = [int(len(self.texts) * pick.random() ** 3) for _ in range(pick.randint(1, most))]
        return Asked(indices, [self.texts[index] for index in indices])

    def _variant(self, place: int) -> str:
        """To the model the text of this place is the same in every round, as it drops white space; not to a cache."""
        around, index = divmod(place, len(self.texts))
        first, second, rest = self.texts[index].split(" ", 2)
        return f"{first}{' ' * (1 + around % 50)}{second}{' ' * (1 + around // 50)}{rest}"


def book(count: int, length: int) -> Book:
    """`count` texts of `length` words with their vectors. The model lives and ends in a process of its own."""
    texts = words(count, length, seed=7)
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        return Book(texts, process.submit(_vectors, texts).result())


def _vectors(texts: Sequence[str]) -> NDArray[np.float32]:
    from app.config.args import ModelArgs
    from app.encoders.text import load_text_model

    model = load_text_model(ModelArgs(id=MODEL), threads=1, offline=True)
    rows = []
    for text in texts:
        [tokenized] = model.tokenize([text], None)
        rows.append(model.run([tokenized.ids])[0])
    vectors = np.asarray(rows, np.float32)
    normalized: NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return normalized


def _least_distance(vectors: NDArray[np.float32]) -> float:
    if len(vectors) < 2:
        return float("inf")
    squares = (vectors * vectors).sum(1)
    least = float("inf")
    for start in range(0, len(vectors), 256):
        part = slice(start, start + 256)
        distances = squares[part, None] + squares[None] - 2 * vectors[part] @ vectors.T
        distances[np.arange(distances.shape[0]), np.arange(start, start + distances.shape[0])] = np.inf
        least = min(least, float(distances.min()))
    return float(max(0.0, least) ** 0.5)
