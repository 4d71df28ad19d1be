"""Parts of a config: the text model has one encoder, and from the first load on two, for as long as anybody looks."""

SCALES = {
    "min_replicas": 1,
    "max_replicas": 2,
    "upscale_delay_s": 0.5,
    "downscale_delay_s": 3600,
    "metrics_interval_s": 0.5,
}
MINILM = "sentence-transformers/all-MiniLM-L6-v2"
TEXT = {"id": MINILM, "num_cpus": 0.1, "health_check_period_s": 1, "autoscaling": SCALES}
IMAGE = {"id": "shapes-clip", "num_cpus": 0.1}
