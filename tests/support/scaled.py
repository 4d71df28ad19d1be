"""Parts of a config: the text model has one encoder, and from the first load on two, for as long as anybody looks."""

from typing import Any

SCALES: dict[str, Any] = {
    "min_replicas": 1,
    "max_replicas": 2,
    "upscale_delay_s": 0.5,
    "downscale_delay_s": 3600,
    "metrics_interval_s": 0.5,
}
MINILM = "sentence-transformers/all-MiniLM-L6-v2"
# Small batches: each encoder that starts runs every shape of them first.
TEXT: dict[str, Any] = {"id": MINILM, "num_cpus": 0.1, "batch_size": 8, "batch_tokens": 512, "health_check_period_s": 1}
TEXT |= {"autoscaling": SCALES}
IMAGE = {"id": "shapes-clip", "num_cpus": 0.1}
