"""Value types and the seams between layers. No logic."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]
"""float32, shape (dimensions,) or (n, dimensions), C-contiguous."""

Kind = Literal["text", "image"]
Metric = Literal["cosine", "euclidean", "dot"]


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What is known of a loaded model.

    `fingerprint` identifies the vectors it makes (weights, revision, preprocessing, dtype): two models with
    the same fingerprint give the same vectors, and cache keys contain it.
    """

    id: str
    fingerprint: str
    dimensions: int
    max_tokens: int
    kinds: tuple[Kind, ...]
    backend: str
    precision: str
    device: str = "cpu"
    revision: str | None = None
    prompts: dict[str, str] = field(default_factory=dict)
    normalized: bool = False
    note: str | None = None


@dataclass(frozen=True, slots=True)
class TokenizedText:
    """One text as the model reads it: ids with special tokens, cut to the model's maximum length."""

    ids: Sequence[int]
    truncated: bool


class TextModel(Protocol):
    """A loaded text encoder. `tokenize` is thread-safe; `run` is called from one thread at a time."""

    info: ModelInfo

    def tokenize(self, texts: Sequence[str]) -> list[TokenizedText]: ...

    def run(self, batch: Sequence[Sequence[int]]) -> Vector:
        """Token ids, one sequence per text -> (n, dimensions), rows in the order given."""
        ...

    def warm(self, shapes: Sequence[tuple[int, int]]) -> None:
        """Compile (batch, length) shapes ahead of traffic."""
        ...


class ImageModel(Protocol):
    """A loaded image tower. `preprocess` is thread-safe; `run` is called from one thread at a time."""

    info: ModelInfo

    def preprocess(self, image: Any) -> Vector:
        """An RGB `PIL.Image` -> (3, height, width) as the model reads it."""
        ...

    def run(self, pixels: Sequence[Vector]) -> Vector:
        """(3, height, width) each -> (n, dimensions), rows in the order given."""
        ...
