"""The fields of the configuration file's `args:`, part by part; `app.config.settings` puts them together. Unknown names
are refused: a misspelt setting that silently does nothing is worse than a failed start."""

from typing import Annotated, Any, Final, Literal, Self, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    field_validator,
    model_validator,
)

from app.config.model_names import ModelName

DEFAULT_TEXT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
DEFAULT_IMAGE_MODEL = "openai/clip-vit-base-patch32"
SHAPES_CLIP = "shapes-clip"
PART_ROWS = 2048  # of one file of an embedded corpus

# The owner's variables, by the setting that each one overrides.
VARIABLES: Final = {
    "text_models": "TEXT_MODEL",
    "image_models": "IMAGE_MODEL",
    "rerank_models": "RERANK_MODEL",
    "sparse_models": "SPARSE_MODEL",
    "token_models": "TOKEN_MODEL",
    "text_fallback": "TEXT_MODEL_FALLBACK",
    "image_fallback": "IMAGE_MODEL_FALLBACK",
    "model_aliases": "MODEL_ALIASES",
    "encoder.batch_size": "BATCH_SIZE",
    "encoder.workers": "MAX_WORKERS",
    "cache.max_size": "CACHE_MAX_SIZE",
    "cache.ttl_ms": "CACHE_TTL",
    "auth": "AUTH",
    "access.keys_file": "API_KEYS_FILE",
    "cors_origins": "CORS_ORIGINS",
    "image_folder": "IMAGE_FOLDER",
    "image_urls.hosts": "IMAGE_URL_HOSTS",
    "serve_bypass": "SERVE_BYPASS",
    "tracing.endpoint": "OTEL_EXPORTER_OTLP_ENDPOINT",
    "tracing.headers": "OTEL_EXPORTER_OTLP_HEADERS",
    "tracing.sample": "OTEL_TRACES_SAMPLER_ARG",
    "tracing.service_name": "OTEL_SERVICE_NAME",
}
LogRequests = Literal["off", "errors", "all"]


class Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Autoscaling(Settings):
    """Passed to Serve as `autoscaling_config`; every model scales on its own."""

    min_replicas: int = 1
    initial_replicas: PositiveInt | None = Field(None, description="How many there are at first; unset: the fewest.")
    max_replicas: PositiveInt = 1
    # The ingress has two calls under way per replica, so a count near 2 means "always busy". Where more waits and
    # replicas may be added, it makes calls for these too.
    target_ongoing_requests: PositiveFloat = 1.5
    upscale_delay_s: float = Field(5.0, ge=0)
    downscale_delay_s: float = Field(120.0, ge=0)
    metrics_interval_s: PositiveFloat = 1.0
    # Serve averages over it. Shorter than `upscale_delay_s`, or the time before a load would hide how large it is.
    look_back_period_s: PositiveFloat = 3.0
    upscaling_factor: PositiveFloat | None = Field(None, description="Of each step up; below 1: smaller ones.")
    downscaling_factor: PositiveFloat | None = Field(None, description="Of each step down; below 1: smaller ones.")

    @property
    def first(self) -> int:
        """Replicas at the start."""
        return self.initial_replicas or self.min_replicas

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not self.min_replicas <= self.first <= self.max_replicas:
            names = ("min_replicas", "initial_replicas", "max_replicas")
            given = (f"{name} ({getattr(self, name)})" for name in names if getattr(self, name) is not None)
            raise ValueError(f"{', '.join(given)}: none may be more than the next")
        return self

    @field_validator("min_replicas")
    @classmethod
    def _one_at_least(cls, value: int) -> int:
        if value < 1:
            raise ValueError(
                "must be at least 1: there is no scaling to zero, as every ingress asks each model for its state "
                "all the time"
            )
        return value


class Placement(Settings):
    """What one replica asks of the cluster."""

    autoscaling: Autoscaling = Autoscaling()
    # A scheduling weight. The defaults of all deployments together fit a node with two logical CPUs.
    num_cpus: float = Field(0.3, ge=0)
    num_gpus: float = Field(0.0, ge=0)
    accelerator_type: str | None = None
    resources: dict[str, float] = {}
    memory: float | None = Field(None, description="Bytes a replica reserves on its node.")
    max_ongoing_requests: PositiveInt = 256
    max_queued_requests: PositiveInt | Literal[-1] = Field(
        -1, description="Most calls that wait at one caller for a replica; more: 429, of the ingress 503. -1: no limit."
    )
    max_surge_percent: int = Field(
        0, ge=0, le=100, description="So many more replicas during an update; 0: an old one ends first."
    )
    max_replicas_per_node: int | None = Field(None, ge=1, le=100, description="Most on one node; unset: no limit.")
    health_check_period_s: PositiveFloat = 2.0
    health_check_timeout_s: PositiveFloat = 10.0
    graceful_shutdown_timeout_s: PositiveFloat = 20.0

    @field_validator("num_gpus")
    @classmethod
    def _whole_gpus(cls, value: float) -> float:
        if value > 1 and value % 1:
            raise ValueError("must be whole above 1: Ray has no replica on parts of several GPUs")
        return value


class EncoderOptions(Placement):
    """How a model is loaded and run; the defaults of every entry of `text_models`, `image_models` and so on."""

    backend: Literal["auto", "openvino", "torch", "static"] = "auto"
    precision: Literal["auto", "f32", "bf16", "f16", "int8"] = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    inference_threads: int = Field(
        0, ge=0, description="0: `num_cpus` where that is 1 or more, else the node's CPUs divided by max_replicas."
    )
    workers: PositiveInt = Field(2, description="Threads that tokenise or decode, per replica (MAX_WORKERS).")
    batch_size: PositiveInt = Field(32, description="Most items of one run of the model (BATCH_SIZE).")
    batch_tokens: PositiveInt = Field(2048, description="Most padded tokens of one run; half of it in a stream.")
    allow_bin_weights: bool = False
    cache_dir: str | None = Field(None, description="Converted models; default: the user's cache folder.")


class ModelArgs(EncoderOptions):
    id: str = Field(min_length=1, description="Hub id, short name or local directory.")
    revision: str | None = None
    prompts: dict[str, str] = Field({}, description="Prompts by name, beside the model's own.")
    matryoshka: bool = Field(False, description="The model was trained for shortened vectors; some are known to be.")
    required: bool = Field(False, description="No start, and no update, without this model or its fallback.")

    @property
    def name(self) -> str:
        """What answers call it."""
        return ModelName(self.id).public

    @property
    def short_name(self) -> str:
        return ModelName(self.id).short


class CacheArgs(Settings):
    max_size: PositiveInt = Field(10_000, description="Most entries (CACHE_MAX_SIZE).")
    max_bytes: PositiveInt = Field(256 * 2**20, description="Most bytes of keys and values.")
    ttl_ms: int = Field(3_600_000, ge=0, description="Life of an entry in ms, 0 for no end (CACHE_TTL).")
    near_max_bytes: int = Field(64 * 2**20, ge=0, description="Near cache of each ingress replica; 0: none.")
    deadline_ms: PositiveFloat = Field(50.0, description="A slower shared cache counts as a miss.")
    shards: PositiveInt = Field(1, description="Actors that the shared cache is divided over, by key.")
    lease_s: PositiveFloat = Field(2.0, description="How long near copies live unless the cache renews them.")


class Limits(Settings):
    texts: PositiveInt = Field(2048, description="Most texts of one request.")
    text_bytes: PositiveInt = Field(64 * 1024, description="Most UTF-8 bytes of one text.")
    images: PositiveInt = Field(32, description="Most images of one request.")
    image_bytes: PositiveInt = Field(10 * 2**20, description="Most bytes of one encoded image.")
    image_pixels: PositiveInt = Field(50_000_000, description="Most pixels of one image.")
    request_pixels: PositiveInt = Field(100_000_000, description="Most pixels of all images of one request.")
    vector_elements: PositiveInt = Field(4_000_000, description="Most numbers of one similarity request.")
    search_candidates: PositiveInt = Field(10_000, description="Most candidates of one search.")
    text_body: PositiveInt = Field(16 * 2**20, description="Most body bytes, text routes.")
    image_body: PositiveInt = Field(64 * 2**20, description="Most body bytes, image and mixed routes.")
    vector_body: PositiveInt = Field(96 * 2**20, description="Most body bytes, similarity and search.")
    tokenize_body: PositiveInt = Field(256 * 2**10, description="Most body bytes, /tokenize and /decode.")
    chunk_body: PositiveInt = Field(2 * 2**20, description="Most body bytes, /embed/chunks; most of a late document.")
    clear_body: PositiveInt = Field(4 * 2**10, description="Most body bytes, /cache/clear.")
    deadline_s: PositiveFloat = Field(30.0, description="A model's or a ranking's time, then 504.")
    queue_s: PositiveFloat = Field(4.0, description="A model with more seconds of work waiting takes none: 429.")


class RetryArgs(Settings):
    """What was lost with a replica is tried again, up to a budget of each ingress replica. Counts items."""

    share: float = Field(0.2, ge=0, description="Of the items that were sent for the first time.")
    per_s: float = Field(10.0, ge=0, description="Beside that, each second.")
    burst: int = Field(1024, ge=0, description="Most at once, as many as two calls can lose; 0: nothing again.")


class AccessArgs(Settings):
    """API keys, where `auth` asks for them, and what each tenant may use."""

    keys: tuple[str, ...] = Field((), description="Lines as `python -m app key` prints them.")
    keys_file: str | None = Field(None, description="A file of such lines, read again on change (API_KEYS_FILE).")
    reload_s: PositiveFloat = Field(2.0, description="How often the file is looked at.")
    share_cache: bool = Field(False, description="Tenants share cache entries; timing then tells what others embedded.")
    requests_per_minute: int = Field(6_000, ge=0, description="Of one tenant; 0: no limit.")
    tokens_per_minute: int = Field(6_000_000, ge=0, description="Of one tenant; 0: no limit.")


def _auth(value: Any) -> Any:
    # YAML reads a bare `off` as false.
    return "off" if value is False else value


Auth = Annotated[Literal["off", "required"], BeforeValidator(_auth)]


BypassPart = Literal["rpc", "middleware"]
BYPASS_PARTS: Final[tuple[BypassPart, ...]] = get_args(BypassPart)


def _bypass(value: Any) -> Any:
    value = _auth(value)
    if isinstance(value, str) and value not in ("auto", "off", "require"):
        return [part.strip() for part in value.split(",")]
    return value


ServeBypass = Annotated[Literal["auto", "off", "require"] | tuple[BypassPart, ...], BeforeValidator(_bypass)]


_HOST_PATTERN = r"^(\*|(\*\.)?[A-Za-z0-9_][A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\])$"


class ImageUrls(Settings):
    """Images by URL; off while no host is allowed. Only public addresses are ever connected to."""

    hosts: tuple[Annotated[str, Field(pattern=_HOST_PATTERN, max_length=260)], ...] = Field(
        (), description="img.example.org, *.example.org (all below it), * (every name) (IMAGE_URL_HOSTS)."
    )
    schemes: tuple[Literal["https", "http"], ...] = Field(("https",), min_length=1)
    ports: tuple[int, ...] = Field((443, 80), description="Ports a URL may name or mean.")
    redirects: int = Field(3, ge=0, le=10, description="Followed, each checked like the URL itself; 0: none.")
    timeout_s: PositiveFloat = Field(10.0, description="From the wait for a turn to the last byte, redirects included.")
    fetches: PositiveInt = Field(16, description="Fetches under way at once, per ingress replica.")


class TracingArgs(Settings):
    """Where traces go; off while no endpoint is set. The fields are OpenTelemetry's own variables."""

    endpoint: str | None = Field(
        None,
        pattern=r"^https?://[^\s]+$",
        description="OTLP/HTTP collector; /v1/traces is added (OTEL_EXPORTER_OTLP_ENDPOINT).",
    )
    headers: dict[str, str] = Field({}, repr=False, description="Sent with every export (OTEL_EXPORTER_OTLP_HEADERS).")
    sample: float = Field(
        1.0, ge=0, le=1, description="Share of the requests that don't say themselves (OTEL_TRACES_SAMPLER_ARG)."
    )
    service_name: str = Field("embedding-service", min_length=1, description="OTEL_SERVICE_NAME.")
    delay_s: PositiveFloat = Field(2.0, description="How long a finished span waits for others to be sent with.")


class Backup(Settings):
    """A model that serves in place of one that is not available; `note` tells clients, in every answer."""

    model: ModelArgs
    note: str
