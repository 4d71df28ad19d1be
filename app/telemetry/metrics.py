"""Every metric as data: name, labels, buckets, words. Who counts is `app.telemetry.registry`, who writes
`app.telemetry.exposition`."""

from dataclasses import dataclass
from typing import Final, Literal

SECONDS: Final = (
    0.0001, 0.0002, 0.0003, 0.0005, 0.00075, 0.001, 0.0015, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03,
    0.05, 0.075, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0,
)  # fmt: skip
ITEMS: Final = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0)

# What a label says where the true value could be anything: a stranger must not make series.
OTHER: Final = "other"
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# A client that went away got no status; this is the customary one for it.
CLIENT_LEFT: Final = 499


@dataclass(frozen=True, slots=True, eq=False)
class Metric:
    """One metric.

    Args:
        merge: How the values of several processes become the cluster's.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    merge: Literal["sum", "max"] = "sum"

    @property
    def of_one_replica(self) -> bool:
        """Ends with its replica; all other totals are the cluster's and outlive it."""
        return "replica" in self.labels


def _counter(name: str, help_: str, *labels: str) -> Metric:
    return Metric(name, "counter", help_, labels)


def _gauge(name: str, help_: str, *labels: str, merge: Literal["sum", "max"] = "sum") -> Metric:
    return Metric(name, "gauge", help_, labels, merge=merge)


def _seconds(name: str, help_: str, *labels: str) -> Metric:
    return Metric(name, "histogram", help_, labels, SECONDS)


REQUESTS = _counter(
    "embedding_requests_total",
    "Requests answered, by route template, method and status; 499: the client left before an answer.",
    "route", "method", "status",
)  # fmt: skip
REQUEST_SECONDS = _seconds(
    "embedding_request_duration_seconds", "From the request's head to its answer's last byte, by route.", "route"
)
IN_PROGRESS = _gauge("embedding_requests_in_progress", "Requests that are being answered.")
REJECTED = _counter("embedding_requests_rejected_total", "Requests answered with an error, by its code.", "code")
TIMEOUTS = _counter("embedding_request_timeouts_total", "Requests that ran into their deadline, by route.", "route")

ITEMS_ANSWERED = _counter(
    "embedding_items_total", "Texts and images answered with a vector, from the cache or a model.", "model", "kind"
)
TOKENS = _counter(
    "embedding_tokens_total", "Tokens of the texts that a model has read; what the cache had costs none.", "model"
)
STAGE_SECONDS = _seconds(
    "embedding_stage_duration_seconds",
    "By model and stage: decode and cache per request, tokenize, normalize (pixels) and queue per call of an encoder, "
    "inference per run of the model.",
    "model", "stage",
)  # fmt: skip
BATCH_SIZE = Metric("embedding_batch_size", "histogram", "Items in one run of the model.", ("model",), ITEMS)
QUEUED = _gauge(
    "embedding_queue_items", "Items that wait: in an ingress for a call, at an encoder for the model.", "model", "place"
)
RETRIED = _counter(
    "embedding_retried_items_total",
    "Items tried again, each alone, because the replica that had them was lost.",
    "model",
)
READY = _gauge(
    "embedding_model_ready", "1: the model serves. 0: it loads or can't be had.", "model", merge="max"
)  # fmt: skip
STATE = _gauge(
    "embedding_model_state", "1 for the state the model is in: loading, ready, unavailable.", "model", "state",
    merge="max",
)  # fmt: skip

CACHE_LOOKUPS = _counter(
    "embedding_cache_lookups_total",
    "Items looked up by tier; the shared cache is asked for what the near one lacks, and not where that can't help.",
    "tier", "result",
)  # fmt: skip
CACHE_FAILURES = _counter("embedding_cache_failures_total", "Look-ups of the shared cache that were given up.")
CACHE_EVICTIONS = _counter("embedding_cache_evictions_total", "Entries pushed out by newer ones, by tier.", "tier")
CACHE_EXPIRATIONS = _counter("embedding_cache_expirations_total", "Entries whose life had passed, by tier.", "tier")
CACHE_ENTRIES = _gauge("embedding_cache_entries", "Entries kept; near: of all ingress replicas together.", "tier")
CACHE_BYTES = _gauge("embedding_cache_bytes", "Bytes of keys, values and bookkeeping, by tier.", "tier")

BYPASS = _gauge(
    "embedding_serve_bypass",
    "1: an ingress replica uses this part of the bypass of Ray Serve now. 0: none does.",
    "part",
    merge="max",
)
REPLICAS = _gauge("embedding_replicas", "Replicas that run, as Ray Serve counts them.", "deployment")
COMPLETE = _gauge(
    "embedding_metrics_complete",
    "1: these are the whole cluster's numbers. 0: only a part of it could be asked, totals may be lower than before.",
    merge="max",
)  # fmt: skip
MEMORY = _gauge("embedding_process_resident_memory_bytes", "Resident memory.", "deployment", "replica")
CPU_SECONDS = _counter("embedding_process_cpu_seconds_total", "CPU time, user and system.", "deployment", "replica")
GC_RUNS = _counter(
    "embedding_gc_collections_total", "Runs of Python's garbage collector.", "deployment", "replica", "generation"
)
GC_SECONDS = _counter(
    "embedding_gc_pause_seconds_total", "Time that Python's garbage collector took.", "deployment", "replica"
)

METRICS: Final[tuple[Metric, ...]] = (
    REQUESTS,
    REQUEST_SECONDS,
    IN_PROGRESS,
    REJECTED,
    TIMEOUTS,
    ITEMS_ANSWERED,
    TOKENS,
    STAGE_SECONDS,
    BATCH_SIZE,
    QUEUED,
    RETRIED,
    READY,
    STATE,
    CACHE_LOOKUPS,
    CACHE_FAILURES,
    CACHE_EVICTIONS,
    CACHE_EXPIRATIONS,
    CACHE_ENTRIES,
    CACHE_BYTES,
    BYPASS,
    REPLICAS,
    COMPLETE,
    MEMORY,
    CPU_SECONDS,
    GC_RUNS,
    GC_SECONDS,
)
