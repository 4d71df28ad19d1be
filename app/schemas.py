"""The wire models: one definition of every native request and response. camelCase on the wire.

Requests refuse unknown fields, so that a misspelt option is an error and not a silent default. Times are
milliseconds. What a limit is comes from the settings (`Limits`) and is checked where the work is done.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema
from pydantic.alias_generators import to_camel

from app.types import Metric


class Wire(BaseModel):
    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        strict=True,
        protected_namespaces=(),
        ser_json_inf_nan="null",
        allow_inf_nan=False,
    )


Text = Annotated[str, Field(min_length=1, description="Text to embed; not empty.")]
ModelName = Annotated[
    str | None, Field(description="Full or short name of a served model; default: the first one configured.")
]
Normalize = Annotated[
    bool, Field(description="Scale each embedding to length 1. False: the model's own output as published.")
]


class TextRequest(Wire):
    texts: Annotated[list[Text], Field(min_length=1, description="1 to 2,048 texts, at most 64 KiB each.")]
    model: ModelName = None
    normalize: Normalize = True


# Checked by `app.sources`, which says in words what an image may be.
ImageEntry = Annotated[
    Any,
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string"},
                {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]},
            ],
            "description": "Data URI, base64, or a path: `./…` or {path}. Paths need IMAGE_FOLDER to be set.",
        }
    ),
]


class ImageRequest(Wire):
    images: Annotated[list[ImageEntry], Field(min_length=1, description="1 to 32 images, at most 10 MB each.")]
    model: ModelName = None
    normalize: Normalize = True


class BatchItem(Wire):
    """Exactly one of `text` and `image`."""

    text: Text | None = None
    image: ImageEntry = None
    model: ModelName = None


class BatchRequest(Wire):
    items: Annotated[list[Any], Field(min_length=1, description="Objects {text} or {image}, each with `model?`.")]
    batch_size: Annotated[int, Field(ge=1, le=2048, description="Most items sent to a model at once.")] = 100
    normalize: Normalize = True


class Usage(Wire):
    tokens: int = Field(description="Tokens of all inputs as the model read them, special tokens included.")


class EmbeddingsResponse(Wire):
    embeddings: list[list[float]] = Field(description="One float32 vector per input, in order.")
    model: str = Field(description="Full name of the model that made the vectors.")
    dimensions: int
    processing_time: float = Field(description="Milliseconds from the whole request to the answer.")
    cached: bool = Field(description="Whether every vector came from the cache.")
    cache_hits: int = Field(description="How many of the vectors came from the cache.")
    usage: Usage
    truncated: list[int] = Field(description="Indices of inputs cut to the model's maximum length.")
    note: str | None = Field(None, description="What to know about this model, e.g. that it is a backup.")


class ItemError(Wire):
    code: str
    message: str
    param: str | None


class BatchItemResult(Wire):
    """What became of one item: model, dimensions and cached, or an error."""

    model: str | None = None
    dimensions: int | None = None
    cached: bool | None = None
    error: ItemError | None = None


class BatchResponse(Wire):
    embeddings: list[list[float] | None] = Field(description="In order; null for an item that failed.")
    model: str | None = Field(description="Model of the first item that succeeded; see `items` for each.")
    total_items: int
    batches_processed: int = Field(description="Batches that were sent to a model; 0 when all came from the cache.")
    total_time: float
    avg_time_per_item: float
    items: list[BatchItemResult]


class SimilarityOptions(Wire):
    top_k: Annotated[int | None, Field(ge=1, description="Most results; more than there are is fine.")] = None
    threshold: Annotated[
        float | None,
        Field(description="cosine, dot: least score. euclidean: greatest distance. Inclusive."),
    ] = None
    metric: Annotated[Metric, Field(description="euclidean scores are distances, ascending.")] = "cosine"


class SimilarityRequest(SimilarityOptions):
    query: Annotated[list[float], Field(min_length=1, description="(d,)")]
    candidates: Annotated[list[list[float]], Field(description="(n, d)")]


class Ranked(Wire):
    index: int = Field(description="Index of the candidate in the request.")
    score: float


class SimilarityResponse(Wire):
    results: list[Ranked] = Field(description="Best first; ties by index.")
    metric: Metric
    processing_time: float


class CacheClearRequest(Wire):
    pass


class CacheClearResponse(Wire):
    cleared: int = Field(description="Entries dropped from the shared cache.")


class CacheStatsResponse(Wire):
    size: int
    max_size: int
    bytes: int
    max_bytes: int
    hits: int = Field(description="Cluster-wide, hits in the near caches included.")
    near_hits: int
    misses: int
    hit_rate: float = Field(description="hits / (hits + misses); 0 before the first look-up.")
    evictions: int
    expirations: int
    clients: int = Field(description="Ingress replicas that hold a lease.")
    available: bool = Field(description="False: the shared cache can't be reached; figures are this replica's.")


class ModelHealth(Wire):
    id: str
    kind: Literal["text", "image"]
    status: Literal["loading", "ready", "unavailable"]
    dimensions: int | None = None
    max_tokens: int | None = None
    backend: str | None = None
    precision: str | None = None
    device: str | None = None
    fingerprint: str | None = None
    items: int = Field(0, description="Items that the replica asked last has encoded since it began.")
    batches: int = Field(0, description="Runs of the model that these took.")
    reason: str | None = None
    note: str | None = None


class CacheHealth(Wire):
    size: int
    max_size: int
    hit_rate: float
    available: bool


class HealthResponse(Wire):
    status: Literal["healthy", "degraded", "starting"]
    uptime: float = Field(description="Seconds since this ingress replica started.")
    models: dict[str, str | None] = Field(description="Default model of each kind: text, image.")
    cache: CacheHealth
    details: list[ModelHealth] = Field(description="Every configured model.")
    reasons: list[str] = Field(description="Why the status is not healthy.")
    version: str


class ErrorBody(Wire):
    code: str
    message: str
    param: str | None = Field(description="The field at fault, e.g. texts.3")
    request_id: str


class ErrorResponse(Wire):
    error: ErrorBody


Json = dict[str, Any]
