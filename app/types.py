"""Value types and the protocols between layers. No logic."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from app.words import Cut, Kind
from embeddings_client.types import *  # noqa: F403

Rows = NDArray[Any]
"""What a model makes of n items: (n, dimensions) float32, or n objects where they differ in size: the bytes of each."""
Span = tuple[int, int]
"""Where something begins and ends in a text."""


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """Describes a loaded model. `fingerprint` identifies its vectors (weights, revision, preprocessing, dtype): models
    with the same one return the same vectors. Cache keys contain it. `routes`: those of the tasks (`input_type`) whose
    texts have a way of their own through the model. `cut`: the side at which its tokenizer truncates."""

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
    pooling: tuple[str, ...] = ()
    # Of a reranker, whose `dimensions` are its labels: their names, and what makes scores of the logits that are kept.
    labels: tuple[str, ...] = ()
    activation: str = ""
    routes: dict[str, str] = field(default_factory=dict)
    cut: Cut = "end"

    @property
    def is_ragged(self) -> bool:
        """Whether what it makes of items differs in size."""
        return self.kinds in (("sparse",), ("token",))

    @property
    def space(self) -> str:
        """Names the vector space. Only vectors of the same space can be compared."""
        return f"{self.id}@{self.fingerprint[:16]}"


@dataclass(frozen=True, slots=True)
class TokenizedText:
    """One text as the model reads it: ids including special tokens, truncated to the model's maximum length."""

    ids: Sequence[int]
    truncated: bool


@dataclass(frozen=True, slots=True)
class Token:
    """One token. `start` and `stop` are its byte offsets in the text; None if the tokenizer added the token."""

    id: int
    text: str
    special: bool
    start: int | None
    stop: int | None


@dataclass(frozen=True, slots=True)
class Prompted:
    """A text, its prompt (None: the model's default), the side that is truncated if it is too long (None: the
    tokenizer's own), and its task where that is one of the model's `routes`."""

    text: str
    prompt: str | None = None
    cut: Cut | None = None
    task: str | None = None


@dataclass(frozen=True, slots=True)
class TokenIds:
    """A text that the client has tokenized: ids of the model's own tokenizer, including special tokens."""

    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Pair:
    """Two texts that a reranker reads as one, and the side at which the longer one is truncated."""

    query: str
    text: str
    cut: Cut | None = None


TextInput = str | Prompted | TokenIds | Pair
"""The input of a text encoder. A plain string gets the model's default prompt and is cut as its tokenizer says."""


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How a request's texts are tokenized. `prompt_name` takes precedence over `input_type`, which may be any API's
    name of a task; `param` is the request field that holds the prompt's name, for error messages."""

    prompt_name: str | None = None
    input_type: str | None = None
    cut: Cut | None = None
    param: str = "promptName"
