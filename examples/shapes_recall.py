"""How often the right caption (or picture) comes first among 32: measured on any encoder, near or remote."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from examples.shapes import PARTS, Part, held_out

Rows = NDArray[np.float32]


class Recall(NamedTuple):
    text_to_image: float
    image_to_text: float

    def __str__(self) -> str:
        return f"{self.text_to_image:.3f} text to image, {self.image_to_text:.3f} image to text"


def recall_at_1(
    encode_images: Callable[[Sequence[Image.Image]], Rows],
    encode_texts: Callable[[Sequence[str]], Rows],
    *,
    sets: int = 8,
    candidates: int = 32,
    unseen: bool | None = None,
    parts: tuple[Part, ...] = PARTS,
) -> Recall:
    """The mean over `sets` sets of held-out pictures, each with `candidates` that captions tell apart."""
    right = np.zeros(2)
    for seed in range(sets):
        images, texts, _ = zip(*held_out(seed, candidates, unseen=unseen, parts=parts), strict=True)
        scores = _unit(encode_texts(texts)) @ _unit(encode_images(images)).T
        answers = np.arange(candidates)
        right += (scores.argmax(axis=1) == answers).mean(), (scores.argmax(axis=0) == answers).mean()
    return Recall(*(right / sets).tolist())


def _unit(rows: Rows) -> Rows:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)
