"""What travels between the ingress and the encoders. Values only, quick to pickle."""

from dataclasses import dataclass

from app.errors import ServiceError
from app.images.preprocessing import Preprocessing
from app.types import ModelInfo


@dataclass(frozen=True, slots=True)
class EncodeReply:
    """Outcomes of one call.

    `packed` holds one cache entry per item, end to end (`app.cache.entry`); what stands there for an index in
    `errors` means nothing. `prepare_ms`: tokenising, or normalising pixels. `took_ms`: all of it, waiting included.
    """

    packed: bytes
    errors: dict[int, ServiceError]
    fingerprint: str
    replica: str
    prepare_ms: float
    queue_ms: float
    inference_ms: float
    took_ms: float
    batches: int


@dataclass(frozen=True, slots=True)
class EncoderStatus:
    """One replica's word on its model; `reason` says why it has none, or only its backup.

    Counts are since the replica began.

    `preprocessing`: how this model wants its images cropped; None for a text model.
    """

    replica: str
    info: ModelInfo | None
    reason: str | None = None
    items: int = 0
    batches: int = 0
    preprocessing: Preprocessing | None = None
