"""The interface between the service and an encoder: a configured model, wherever it runs."""

import asyncio
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal, Protocol

from app.errors import ModelUnavailable, Overloaded, ServiceError
from app.images.preprocessing import Preprocessing
from app.types import ModelInfo, Span, TextInput, Token
from app.words import ChunkBy, Kind


@dataclass(frozen=True, slots=True)
class Stages:
    """Milliseconds spent in each stage of an encoder call, and the number of model runs."""

    decode_ms: float = 0.0
    tokenize_ms: float = 0.0
    queue_ms: float = 0.0
    inference_ms: float = 0.0
    batches: int = 0


@dataclass(frozen=True, slots=True)
class Encoded:
    """One item's cache entry or error, and the times of its encoder call. `origin`: the `traceparent` of the request
    that started the call, if it is traced."""

    entry: bytes | ServiceError
    stages: Stages
    origin: str | None = None


@dataclass(frozen=True, slots=True)
class ModelState:
    """A model's state as its replicas report it. `items` and `batches` are those of the replica that reported last."""

    id: str
    status: Literal["loading", "ready", "unavailable"]
    info: ModelInfo | None = None
    reason: str | None = None
    items: int = 0
    batches: int = 0


class Encoder(Protocol):
    kinds: tuple[Kind, ...]

    @property
    def state(self) -> ModelState: ...

    @property
    def waiting(self) -> int:
        """Items that are not part of a call yet."""

    @property
    def retried(self) -> int:
        """Items that were retried since the start of this process."""

    @property
    def preprocessing(self) -> Preprocessing | None:
        """The model's image preprocessing; None until it is known, and for text models."""

    def refusal(self, kind: Kind) -> Overloaded | None:
        """The Overloaded that `encode_texts` or `encode_images` would raise for a single item. It must be cheap: under
        overload it is asked before any work is done for a request, and most are rejected."""

    def encode_texts(self, texts: Sequence[TextInput]) -> "Sequence[asyncio.Future[Encoded]]":
        """Raises Overloaded, as `encode_images` does, if these can't be answered in time."""

    async def counts(self, texts: Sequence[TextInput]) -> list[int]:
        """Of a model of token vectors: how many each text has."""

    async def decode(self, arrays: Sequence[Sequence[int]], names: Sequence[str], skip_special: bool) -> list[str]:
        """The texts of arrays of ids; see `app.encoders.tokenizer`."""

    async def tokens(self, texts: Sequence[str], prompt: str | None, special: bool) -> list[list[Token]]:
        """The tokens of each text; see `app.encoders.tokenizer`."""

    async def chunks(
        self, texts: Sequence[str], size: int | None, overlap: int, by: ChunkBy, prompt: str | None, most: int
    ) -> list[list[Span]]:
        """Where each text's chunks are; see `app.encoders.tokenizer`."""

    def track(self, documents: Sequence[str]) -> AbstractContextManager[None]:
        """Keeps account of documents whose spans are pooled. Raises Overloaded, as `encode_texts` does."""

    async def pool_spans(self, text: str, spans: Sequence[Span], prompt: str | None) -> list[Encoded]:
        """A vector of each span, by the mean of the token vectors that it has in the whole text."""

    def encode_images(self, crops: Sequence[bytes]) -> "Sequence[asyncio.Future[Encoded]]": ...
    def trim(self) -> None:
        """Stop working on items whose futures were cancelled."""


def ready(encoder: Encoder) -> ModelInfo:
    """The model's info. Raises ModelUnavailable with the reason if the model is not ready."""
    state = encoder.state
    if state.info is not None and state.status == "ready":
        return state.info
    if state.status == "loading":
        raise ModelUnavailable(f"{state.id} is still loading. Try again in a moment.", "model", retry_after=2)
    raise ModelUnavailable(f"{state.id} is unavailable: {state.reason}", "model", retry_after=30)
