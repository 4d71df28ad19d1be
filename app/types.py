"""Value types and the seams between layers. No logic."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]
"""float32, shape (dimensions,) or (n, dimensions), C-contiguous."""

Modality = Literal["text", "image"]
SimilarityMetric = Literal["cosine", "euclidean", "dot"]
InputType = Literal["query", "document"]
Cut = Literal["end", "start"]
OutputType = Literal["float32", "int8", "uint8", "binary", "ubinary"]
KeyScope = Literal["embed", "read", "admin"]
"""What an API key may do: compute, look, or change what all see."""


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
    kinds: tuple[Modality, ...]
    backend: str
    precision: str
    device: str = "cpu"
    revision: str | None = None
    prompts: dict[str, str] = field(default_factory=dict)
    normalized: bool = False
    note: str | None = None
    pooling: tuple[str, ...] = ()

    @property
    def space(self) -> str:
        """Names the vector space: vectors of one space compare, those of two mean nothing to each other."""
        return f"{self.id}@{self.fingerprint[:16]}"


@dataclass(frozen=True, slots=True)
class TokenizedText:
    """One text as the model reads it: ids with special tokens, cut to the model's maximum length."""

    ids: Sequence[int]
    truncated: bool


@dataclass(frozen=True, slots=True)
class Token:
    """One token; `start` and `stop` are its bytes in the text as read, None for one that the tokenizer added."""

    id: int
    text: str
    special: bool
    start: int | None
    stop: int | None


@dataclass(frozen=True, slots=True)
class Prompted:
    """A text with the prompt put before it (None: the model's own default) and where it is cut if it is too long."""

    text: str
    prompt: str | None = None
    cut: Cut = "end"


@dataclass(frozen=True, slots=True)
class TokenIds:
    """A text that the client has tokenised: ids of the model's own tokenizer, special tokens included."""

    ids: tuple[int, ...]


TextInput = str | Prompted | TokenIds
"""What a text encoder takes; a plain string is read as the model reads it by default."""


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How a request wants its texts read. A named prompt goes before an input type; `param` is the field that
    named it."""

    prompt_name: str | None = None
    input_type: InputType | None = None
    cut: Cut = "end"
    param: str = "promptName"
