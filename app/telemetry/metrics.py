"""The table of all metrics: name, labels, buckets, help text. `registry` counts them, `exposition` writes them."""

from dataclasses import dataclass
from typing import Final, Literal

SECONDS: Final = (
    0.0001, 0.0002, 0.0003, 0.0005, 0.00075, 0.001, 0.0015, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03,
    0.05, 0.075, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0,
)  # fmt: skip
ITEMS: Final = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0)

OTHER: Final = "other"  # for values that clients choose freely: they must not be able to create series
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
CLIENT_LEFT: Final = 499  # the client disconnected before the response; nginx's status for this case


@dataclass(frozen=True, slots=True, eq=False)
class Metric:
    """One metric. `merge`: how the values of several processes are merged into the cluster's."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    merge: Literal["sum", "max"] = "sum"

    @property
    def per_replica(self) -> bool:
        """Whether its series end with a replica. All other totals belong to the cluster and survive replicas."""
        return "replica" in self.labels


def _counter(name: str, help_: str, *labels: str) -> Metric:
    return Metric(name, "counter", help_, labels)


def _gauge(name: str, help_: str, *labels: str, merge: Literal["sum", "max"] = "sum") -> Metric:
    return Metric(name, "gauge", help_, labels, merge=merge)


def _seconds(name: str, help_: str, *labels: str) -> Metric:
    return Metric(name, "histogram", help_, labels, SECONDS)


REQUESTS = _counter(
    "embedding_requests_total",
    "Requests answered, by route template, method and status; 499: the client disconnected before the response.",
    "route", "method", "status",
)  # fmt: skip
REQUEST_SECONDS = _seconds(
    "embedding_request_duration_seconds",
    "From a request's headers to the last byte of its response, by route.",
    "route",
)
IN_PROGRESS = _gauge("embedding_requests_in_progress", "Requests in progress.")
REJECTED = _counter("embedding_requests_rejected_total", "Requests answered with an error, by error code.", "code")
TIMEOUTS = _counter("embedding_request_timeouts_total", "Requests that exceeded their deadline, by route.", "route")

ITEMS_ANSWERED = _counter(
    "embedding_items_total", "Texts and images embedded, from the cache or by a model.", "model", "kind"
)
TOKENS = _counter(
    "embedding_tokens_total", "Tokens of the texts that a model has embedded; cache hits do not count.", "model"
)
STAGE_SECONDS = _seconds(
    "embedding_stage_duration_seconds",
    "Time per model and stage: decode and cache per request; tokenize, normalize (pixels) and queue per encoder call; "
    "inference per run of the model.",
    "model", "stage",
)  # fmt: skip
BATCH_SIZE = Metric("embedding_batch_size", "histogram", "Items in one run of the model.", ("model",), ITEMS)
QUEUED = _gauge(
    "embedding_queue_items",
    "Waiting items: in an ingress for an encoder call, in an encoder for the model.",
    "model", "place",
)  # fmt: skip
RETRIED = _counter("embedding_retried_items_total", "Items retried because their replica was lost.", "model")
READY = _gauge("embedding_model_ready", "1: the model is ready. 0: it is loading or unavailable.", "model", merge="max")
STATE = _gauge(
    "embedding_model_state", "1 for the state the model is in: loading, ready, unavailable.", "model", "state",
    merge="max",
)  # fmt: skip

CACHE_LOOKUPS = _counter(
    "embedding_cache_lookups_total",
    "Items looked up, by tier; the shared cache is only asked for misses of the near cache that it may hold.",
    "tier", "result",
)  # fmt: skip
CACHE_FAILURES = _counter("embedding_cache_failures_total", "Look-ups in the shared cache that failed or timed out.")
CACHE_EVICTIONS = _counter("embedding_cache_evictions_total", "Entries evicted for newer ones, by tier.", "tier")
CACHE_EXPIRATIONS = _counter("embedding_cache_expirations_total", "Entries that expired, by tier.", "tier")
CACHE_ENTRIES = _gauge("embedding_cache_entries", "Entries, by tier; near: of all ingress replicas together.", "tier")
CACHE_BYTES = _gauge("embedding_cache_bytes", "Bytes of keys, values and bookkeeping, by tier.", "tier")

BYPASS = _gauge(
    "embedding_serve_bypass",
    "1: an ingress replica uses this part of the bypass of Ray Serve now. 0: none does.",
    "part", merge="max",
)  # fmt: skip
REPLICAS = _gauge("embedding_replicas", "Running replicas, as Ray Serve counts them.", "deployment")
COMPLETE = _gauge(
    "embedding_metrics_complete",
    "1: the metrics cover the whole cluster. 0: only a part of it answered, so totals may be lower than before.",
    merge="max",
)  # fmt: skip
MEMORY = _gauge("embedding_process_resident_memory_bytes", "Resident memory.", "deployment", "replica")
CPU_SECONDS = _counter("embedding_process_cpu_seconds_total", "CPU time, user and system.", "deployment", "replica")
GC_RUNS = _counter(
    "embedding_gc_collections_total", "Runs of Python's garbage collector.", "deployment", "replica", "generation"
)
GC_SECONDS = _counter(
    "embedding_gc_pause_seconds_total", "Time spent in Python's garbage collector.", "deployment", "replica"
)

METRICS: Final = tuple(value for value in list(globals().values()) if isinstance(value, Metric))
