"""What travels between the ingress and the encoders. Values only. During a rollout the two ends may be of different
versions: fields that an end does not know are ignored, and a message that lacks one is refused in words."""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from functools import cache
from typing import Any, Final, Self

from app.errors import ServiceError, Unavailable
from app.images.preprocessing import Preprocessing
from app.types import ModelInfo

VERSION: Final = 1


class Message:
    """A dataclass with slots that travels by the names of its fields, in frames and in pickles."""

    __slots__: tuple[str, ...] = ()

    def fields(self) -> dict[str, Any]:
        return {"version": VERSION} | {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_fields(cls, given: Mapping[str, Any]) -> Self:
        """Raises Unavailable where a field without a default is missing."""
        require(cls.__name__, given, _without_default(cls))  # type: ignore[arg-type]
        return cls(**{name: given[name] for name in cls.__slots__ if name in given})

    def __reduce__(self) -> Any:
        return type(self).from_fields, (self.fields(),)


@cache
def _without_default(cls: Any) -> tuple[str, ...]:
    return tuple(field.name for field in fields(cls) if field.default is MISSING)


def require(name: str, given: Mapping[str, Any], needed: tuple[str, ...]) -> None:
    """Raises Unavailable where a message lacks a field."""
    if missing := [field for field in needed if field not in given]:
        raise Unavailable(
            f"{name} of version {given.get('version')} lacks {', '.join(missing)}; version {VERSION} needs it. "
            "Two versions of the service are running: try again.",
            retry_after=1,
        )


@dataclass(frozen=True, slots=True)
class EncodeReply(Message):
    """Outcomes of one call. `packed` holds one cache entry per item, end to end (`app.cache.entry`); what stands there
    for an index in `errors` means nothing. `prepare_ms`: tokenising, or normalising pixels."""

    packed: bytes
    errors: dict[int, ServiceError]
    fingerprint: str
    replica: str
    prepare_ms: float
    queue_ms: float
    inference_ms: float
    batches: int


@dataclass(frozen=True, slots=True)
class EncoderStatus(Message):
    """A replica's answer on its model; `reason` says why it has none, or only its backup. Counts are since the replica
    began. `preprocessing`: how this model wants its images cropped; None for a text model."""

    replica: str
    info: ModelInfo | None
    reason: str | None = None
    items: int = 0
    batches: int = 0
    preprocessing: Preprocessing | None = None
