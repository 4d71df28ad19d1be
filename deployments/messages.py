"""What travels between the ingress and the encoders. Values only, quick to pickle."""

from dataclasses import dataclass

from app.errors import ServiceError
from app.types import ModelInfo


@dataclass(frozen=True, slots=True)
class EncodeReply:
    """Outcomes of one call.

    `packed` holds one cache entry per item, end to end (`app.entries`); what stands there for an index in
    `errors` means nothing.
    """

    packed: bytes
    errors: dict[int, ServiceError]
    fingerprint: str
    replica: str
    tokenize_ms: float
    queue_ms: float
    inference_ms: float
    batches: int


@dataclass(frozen=True, slots=True)
class EncoderStatus:
    """One replica's word on its model; `reason` says why it has none. Counts are since the replica began."""

    replica: str
    info: ModelInfo | None
    reason: str | None = None
    items: int = 0
    batches: int = 0
