"""`/cache/…`, `/health`, `/livez`, `/readyz`."""

from typing import Annotated, Literal

from pydantic import Field

from app.schemas.wire import ModelName, Text, Wire
from app.words import Kind


class CacheClearRequest(Wire):
    pass


class CacheClearResponse(Wire):
    cleared: int = Field(description="Entries dropped from the shared cache.")


class CacheWarmRequest(Wire):
    model: ModelName = None
    fingerprint: str = Field(
        description="The fingerprint of the vectors' model, see `/health`; 409 if it is not the served one."
    )
    texts: list[Text] = Field(min_length=1, description="1 to <texts> texts.")
    embeddings: str = Field(
        description="Base64 of one row per text, concatenated, float32, little-endian: the model's own output, "
        "not shortened and not rounded. A sample of the rows is verified by embedding their texts."
    )
    tokens: Annotated[list[Annotated[int, Field(ge=0, lt=2**32)]], Field(description="Token count of each text.")]
    truncated: list[Annotated[int, Field(ge=0)]] = Field(
        [], description="Indices of texts that were truncated to the model's maximum length."
    )


class CacheWarmResponse(Wire):
    stored: int = Field(description="Entries stored in the shared cache.")
    checked: int = Field(description="Texts that were embedded to verify their rows.")
    processing_time: float = Field(description="Milliseconds from receiving the whole request to the response.")


class CacheStatsResponse(Wire):
    size: int = Field(description="Entries.")
    max_size: int = Field(description="Maximum number of entries (CACHE_MAX_SIZE).")
    bytes: int = Field(description="Bytes of keys and values.")
    max_bytes: int = Field(description="Maximum bytes of keys and values.")
    hits: int = Field(description="Cluster-wide, including hits in the near caches.")
    near_hits: int = Field(description="Hits answered by the ingress replicas' own near caches.")
    misses: int = Field(description="Look-ups that found nothing.")
    hit_rate: float = Field(description="hits / (hits + misses); 0 before the first look-up.")
    evictions: int = Field(description="Entries evicted for newer ones.")
    expirations: int = Field(description="Entries that expired (CACHE_TTL).")
    clients: int = Field(description="Ingress replicas that hold a lease.")
    available: bool = Field(description="False: the shared cache can't be reached; the numbers are this replica's.")


class ModelHealth(Wire):
    id: str = Field(description="As configured.")
    kind: Kind = Field(
        description="image: a CLIP model, which embeds texts too. rerank: a cross-encoder, which scores pairs. "
        "sparse: a sparse encoder (SPLADE). token: a text model, for the vectors of its tokens."
    )
    status: Literal["loading", "ready", "unavailable"] = Field(description="`reason` says why it is unavailable.")
    dimensions: int | None = Field(None, description="Dimensions of its vectors; of a reranker, its labels.")
    max_tokens: int | None = Field(None, description="Maximum tokens per text; longer texts are truncated.")
    backend: str | None = Field(None, description="openvino or torch.")
    precision: str | None = Field(None, description="f32, bf16, f16 or int8.")
    device: str | None = Field(None, description="cpu or cuda.")
    fingerprint: str | None = Field(None, description="Identifies the vectors: weights, preprocessing, precision.")
    items: int = Field(0, description="Items that the replica that reported last has encoded since its start.")
    batches: int = Field(0, description="Model runs for these items.")
    reason: str | None = Field(None, description="Why it is unavailable.")
    note: str | None = Field(None, description="A remark on the model, e.g. that it is a backup.")


class CacheHealth(Wire):
    size: int = Field(description="Entries.")
    max_size: int = Field(description="Maximum number of entries.")
    hit_rate: float = Field(description="hits / (hits + misses); 0 before the first look-up.")
    available: bool = Field(description="False: the shared cache can't be reached.")


class HealthResponse(Wire):
    status: Literal["healthy", "degraded", "starting"] = Field(
        description="`reasons` says why. Where keys are asked for, what follows needs one with the `read` scope."
    )
    uptime: float = Field(description="Seconds since this ingress replica started.")
    models: dict[str, str | None] = Field(
        description="Default model of each kind: text, image; others where there is one."
    )
    cache: CacheHealth = Field(description="The shared cache in short.")
    details: list[ModelHealth] = Field(description="Every configured model.")
    reasons: list[str] = Field(description="Why the status is not healthy.")
    version: str = Field(description="The service's.")


class HealthSummary(Wire):
    """What a caller without the `read` scope gets of `HealthResponse`."""

    status: Literal["healthy", "degraded", "starting"]


class LiveResponse(Wire):
    status: Literal["alive"] = Field(description="Always this.")


class ReadyResponse(Wire):
    status: Literal["ready", "starting"] = Field(description="starting comes with 503.")
