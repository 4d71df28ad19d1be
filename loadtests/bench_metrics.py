"""What counting and logging cost a request, and what a scrape costs: `python -m loadtests.bench_metrics`."""

import logging
import timeit
from tempfile import TemporaryFile

import numpy as np
from ray._common.formatters import JSONFormatter

from app.api.middleware.request_metrics import RequestMetrics
from app.api.routes import ROUTES
from app.cache.entry import pack
from app.service.result import EmbeddingResult
from app.telemetry import exposition
from app.telemetry.metrics import ITEMS_ANSWERED, STAGE_SECONDS
from app.telemetry.registry import Registry, merged
from app.telemetry.request_log import MAX_LINES, RequestLog
from app.types import ModelInfo

ROUNDS = 200_000
SCOPE = {"method": "POST", "path": "/embed/text", "state": {"request_id": "8a3f"}}
MODEL = "sentence-transformers/all-MiniLM-L6-v2"


def main() -> None:
    registry = Registry()
    requests = RequestMetrics(registry, ROUTES)

    def one_request() -> None:
        """All that a text request makes its ingress count."""
        requests.began()
        registry.observe(STAGE_SECONDS, 0.0007, MODEL, "cache")
        registry.count(ITEMS_ANSWERED, MODEL, "text", by=1)
        requests.ended(SCOPE, ROUTES[0].template, 200, 0.0012)

    best = min(timeit.repeat(one_request, number=ROUNDS, repeat=5)) / ROUNDS
    print(f"counting one request      {best * 1e6:8.2f} µs")
    _log()
    for route in ROUTES:
        requests.ended(SCOPE | {"method": route.method, "path": route.path}, route.template, 200, 0.0012)
    best = min(timeit.repeat(registry.snapshot, number=200, repeat=5)) / 200
    print(f"snapshot, every route     {best * 1e6:8.2f} µs")
    parts = [registry.snapshot()] * 20
    best = min(timeit.repeat(lambda: merged(parts), number=20, repeat=5)) / 20
    print(f"merging 20 processes      {best * 1e6:8.2f} µs")
    whole = merged(parts)
    best = min(timeit.repeat(lambda: exposition.text(whole), number=20, repeat=5)) / 20
    print(f"writing {len(exposition.text(whole)) / 1e3:4.0f} kB           {best * 1e6:8.2f} µs")


def _log() -> None:
    log = RequestLog("all")
    requests = RequestMetrics(Registry(), ROUTES, log)
    info = ModelInfo(MODEL, "print", 384, 256, ("text",), "openvino", "bf16")
    [entry] = [pack(np.zeros((1, 384), np.float32), [5], [False])]
    stages = {"decode": 0.0, "cache": 0.1, "tokenize": 0.2, "queue": 0.1, "inference": 3.0}
    state = SCOPE["state"] | {"counts": EmbeddingResult(info, [entry], [True]).counts, "stages": stages}  # type: ignore[operator]
    scope = SCOPE | {"state": state}
    best = timeit.timeit(lambda: requests.ended(scope, ROUTES[0].template, 200, 0.0012), number=MAX_LINES) / MAX_LINES
    print(f"... and keeping its line  {best * 1e6:8.2f} µs")
    with TemporaryFile("w") as file:
        handler = logging.StreamHandler(file)
        handler.setFormatter(JSONFormatter())
        logger = logging.getLogger("app.telemetry.request_log")
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(logging.INFO)
        best = timeit.timeit(log.close, number=1) / MAX_LINES
    print(f"writing it, in a thread   {best * 1e6:8.2f} µs")


if __name__ == "__main__":
    main()
