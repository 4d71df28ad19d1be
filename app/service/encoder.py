"""What an encoder is to the service: one configured model, wherever it runs, and what it answers."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from app.errors import ModelUnavailable, Overloaded, ServiceError
from app.images.preprocessing import Preprocessing
from app.types import Modality, ModelInfo, TextInput, Token


@dataclass(frozen=True, slots=True)
class Stages:
    """Where an encoder's time went, in milliseconds, and in how many runs of the model."""

    decode_ms: float = 0.0
    tokenize_ms: float = 0.0
    queue_ms: float = 0.0
    inference_ms: float = 0.0
    batches: int = 0


@dataclass(frozen=True, slots=True)
class Encoded:
    """One item's outcome: its cache entry or its error, and the times of the call that made it. `origin`: the
    position in a trace that asked for it, where there is one.
    """

    entry: bytes | ServiceError
    stages: Stages
    origin: str | None = None


@dataclass(frozen=True, slots=True)
class ModelState:
    """A model as its replicas tell. `items` and `batches` are what the replica that spoke last has run."""

    id: str
    status: Literal["loading", "ready", "unavailable"]
    info: ModelInfo | None = None
    reason: str | None = None
    items: int = 0
    batches: int = 0


class Encoder(Protocol):
    kinds: tuple[Modality, ...]

    @property
    def state(self) -> ModelState: ...

    @property
    def waiting(self) -> int:
        """Items that no call has taken along yet."""
        ...

    @property
    def retried(self) -> int:
        """Items that were tried again since this process began."""
        ...

    @property
    def preprocessing(self) -> Preprocessing | None:
        """How the model wants its images cropped; None before it is known, and for text models."""
        ...

    def refusal(self, kind: Modality) -> Overloaded | None:
        """What `encode_texts` or `encode_images` would raise for a single one, because of what waits already.

        Asked before anything is spent on a request, the shared cache's time included: under an overload most of what
        comes is refused, and that must cost as little as can be.
        """
        ...

    def encode_texts(self, texts: Sequence[TextInput]) -> "Sequence[asyncio.Future[Encoded]]": ...
    async def tokens(self, texts: Sequence[str], prompt: str | None, special: bool) -> list[list[Token]]:
        """What each text is made of; as `app.encoders.tokenizer`."""
        ...

    def encode_images(self, crops: Sequence[bytes]) -> "Sequence[asyncio.Future[Encoded]]": ...
    def trim(self) -> None:
        """Futures were cancelled: end the work that nobody waits for any more."""
        ...


def ready(encoder: Encoder) -> ModelInfo:
    """Raises ModelUnavailable, with the reason."""
    state = encoder.state
    if state.info is not None and state.status == "ready":
        return state.info
    if state.status == "loading":
        raise ModelUnavailable(f"{state.id} is still loading. Try again in a moment.", "model", retry_after=2)
    raise ModelUnavailable(f"{state.id} is unavailable: {state.reason}", "model", retry_after=30)
