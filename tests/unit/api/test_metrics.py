"""`GET /metrics` as Prometheus reads it, and what requests leave in it."""

import os
import shutil
import subprocess
from collections.abc import Iterable

import pytest

from app.errors import DeadlineExceeded, Overloaded
from app.telemetry.metrics import METRICS
from tests.support.calling import Service
from tests.support.samples import Samples, of, samples_of
from tests.support.service_fakes import MODEL


def with_requests(requests: Iterable[tuple[str, str, object]]) -> Samples:
    service = Service()
    for method, path, body in requests:
        service.request(method, path, json=body)
    return samples_of(service.get("/metrics"))


def test_requests_are_counted_by_route_method_and_status() -> None:
    good = ("POST", "/embed/text", {"texts": ["a", "b c"]})
    samples = with_requests([good, good, ("POST", "/embed/text", {}), ("GET", "/livez", None)])
    assert of(samples, "embedding_requests_total") == {
        ("POST", "/embed/text", "200"): 2,
        ("POST", "/embed/text", "400"): 1,
        ("GET", "/livez", "200"): 1,
    }
    assert of(samples, "embedding_request_duration_seconds_count") == {("/embed/text",): 3, ("/livez",): 1}
    assert of(samples, "embedding_requests_rejected_total") == {("invalid_request",): 1}
    assert of(samples, "embedding_requests_in_progress") == {(): 1}  # the scrape itself


def test_items_are_counted_by_model_and_kind_whoever_had_them() -> None:
    body = {"texts": ["a", "b c", "a"]}
    samples = with_requests([("POST", "/embed/text", body), ("POST", "/embed/text", body)])
    assert of(samples, "embedding_items_total") == {("text", MODEL): 6}
    assert of(samples, "embedding_stage_duration_seconds_count") == {(MODEL, "cache"): 2}


def test_unknown_paths_and_methods_create_no_series() -> None:
    samples = with_requests(
        [
            ("GET", "/no/such/path", None),
            ("GET", "/embed/text/../../etc", None),
            ("GET", "/v1/models/one", None),
            ("GET", "/v1/models/two/three", None),
            ("BREW", "/livez", None),
            ("POST", "/embed/text", {"texts": ["a"], "model": "no-such-model"}),
        ]
    )
    assert of(samples, "embedding_requests_total") == {
        ("GET", "other", "404"): 2,
        ("GET", "/v1/models/{model}", "404"): 2,
        ("other", "/livez", "405"): 1,
        ("POST", "/embed/text", "404"): 1,
    }
    assert of(samples, "embedding_requests_rejected_total") == {
        ("not_found",): 2,
        ("model_not_found",): 3,
        ("method_not_allowed",): 1,
    }
    assert not any("no-such-model" in value for _, labels in samples for _, value in labels)


def test_timeouts_and_refusals_are_told_apart() -> None:
    service = Service()
    for fault in (DeadlineExceeded("late"), Overloaded("full"), RuntimeError("broken")):
        service.ranker.fault = fault
        service.post("/similarity", json={"query": [1], "candidates": [[1]]})
    samples = samples_of(service.get("/metrics"))
    assert of(samples, "embedding_request_timeouts_total") == {("/similarity",): 1}
    assert of(samples, "embedding_requests_rejected_total") == {
        ("deadline_exceeded",): 1,
        ("overloaded",): 1,
        ("internal_error",): 1,
    }
    assert {key[2]: n for key, n in of(samples, "embedding_requests_total").items()} == {"504": 1, "429": 1, "500": 1}


def test_histograms_are_cumulative_and_end_in_their_count() -> None:
    samples = with_requests([("GET", "/livez", None)] * 5)
    buckets = {
        float(dict(labels)["le"]): count
        for (name, labels), count in samples.items()
        if name == "embedding_request_duration_seconds_bucket"
    }
    counts = [buckets[bound] for bound in sorted(buckets)]
    assert counts == sorted(counts)
    assert buckets[float("inf")] == 5
    assert of(samples, "embedding_request_duration_seconds_sum")["/livez",] > 0


def test_every_metric_is_one_of_the_table() -> None:
    known = {f"{metric.name}{suffix}" for metric in METRICS for suffix in ("", "_bucket", "_sum", "_count")}
    samples = with_requests([("POST", "/embed/text", {"texts": ["a"]}), ("GET", "/health", None)])
    assert {name for name, _ in samples} <= known


@pytest.mark.skipif(
    shutil.which("promtool") is None and os.environ.get("CI") != "true",
    reason="promtool is not installed (Debian's package `prometheus` has it)",
)
def test_promtool_check_metrics_passes() -> None:
    service = Service()
    service.post("/embed/text", json={"texts": ["a"]})
    service.get("/nothing")
    page = service.get("/metrics").text
    check = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, text=True, timeout=60)
    assert (check.returncode, check.stdout, check.stderr) == (0, "", "")
