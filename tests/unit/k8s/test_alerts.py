"""The alert rules: read by promtool, and each seen to fire, and not to fire, on made-up series."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.api.routes import ROUTES
from app.telemetry.metrics import METRICS, SECONDS
from tests.unit.k8s.manifests import ROOT

MANIFEST = yaml.safe_load((ROOT / "k8s/components/monitoring/alerts.yaml").read_text())
RULES: list[dict[str, Any]] = [rule for group in MANIFEST["spec"]["groups"] for rule in group["rules"]]

pytestmark = pytest.mark.skipif(
    shutil.which("promtool") is None and os.environ.get("CI") != "true",
    reason="promtool is not installed (Debian's package `prometheus` has it)",
)

OK = 'embedding_requests_total{route="/embed/text",method="POST",status="200"}'
FAILED = 'embedding_requests_total{route="/embed/text",method="POST",status="503"}'
QUICK = 'embedding_request_duration_seconds_bucket{route="/embed/text",le="0.5"}'
ALL = 'embedding_request_duration_seconds_count{route="/embed/text"}'
NEAR_HIT = 'embedding_cache_lookups_total{tier="near",result="hit"}'
NEAR_MISS = 'embedding_cache_lookups_total{tier="near",result="miss"}'
READY = 'embedding_model_ready{model="m"}'
UP = 'up{job="embeddings"}'

# Per alert: series in promtool's notation (a value a minute), the minute, and whether it fires then.
CASES: list[tuple[str, dict[str, str], int, bool]] = [
    ("EmbeddingServiceDown", {UP: "1x5 0x10"}, 14, True),
    ("EmbeddingServiceDown", {UP: "1x20"}, 14, False),
    ("EmbeddingErrors", {OK: "0+95x120", FAILED: "0+5x120"}, 100, True),
    ("EmbeddingErrors", {OK: "0+995x120", FAILED: "0+5x120"}, 100, False),
    ("EmbeddingLatency", {QUICK: "0+90x120", ALL: "0+100x120"}, 100, True),
    ("EmbeddingLatency", {QUICK: "0+99x120", ALL: "0+100x120"}, 100, False),
    ("EmbeddingQueueGrows", {'embedding_queue_items{model="m",place="encoder"}': "0+200x60"}, 40, True),
    ("EmbeddingQueueGrows", {'embedding_queue_items{model="m",place="encoder"}': "9000-200x40"}, 30, False),
    ("EmbeddingTimeouts", {'embedding_request_timeouts_total{route="/search"}': "0+60x60"}, 30, True),
    ("EmbeddingTimeouts", {'embedding_request_timeouts_total{route="/search"}': "0+1x60"}, 30, False),
    ("EmbeddingHitRateDrop", {NEAR_HIT: "0+80x360 28800+10x60", NEAR_MISS: "0+20x360 7200+90x60"}, 410, True),
    ("EmbeddingHitRateDrop", {NEAR_HIT: "0+80x420", NEAR_MISS: "0+20x420"}, 410, False),
    ("EmbeddingReplicasFlap", {'embedding_replicas{deployment="d"}': "1 2 1 2 1 2 1 2 1 2 1 2 1 2x30"}, 25, True),
    ("EmbeddingReplicasFlap", {'embedding_replicas{deployment="d"}': "1x10 2x10 3x30"}, 25, False),
    ("EmbeddingModelNotReady", {READY: "1x5 0x30"}, 25, True),
    ("EmbeddingModelNotReady", {READY: "0x8 1x30"}, 25, False),
    ("EmbeddingMetricsIncomplete", {"embedding_metrics_complete": "0x20"}, 10, True),
    ("EmbeddingMetricsIncomplete", {"embedding_metrics_complete": "1x20"}, 10, False),
]


def promtool(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "rules.yaml").write_text(yaml.safe_dump(MANIFEST["spec"]))
    command = ["promtool", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)


def test_promtool_takes_the_rules(tmp_path: Path) -> None:
    check = promtool(tmp_path, "check", "rules", "rules.yaml")
    assert check.returncode == 0, check.stdout + check.stderr


def test_every_alert_has_a_case_that_fires_and_one_that_does_not() -> None:
    for rule in RULES:
        assert {fires for name, _, _, fires in CASES if name == rule["alert"]} == {True, False}


def test_rules_ask_for_what_there_is() -> None:
    names = {metric.name for metric in METRICS}
    names |= {f"{m.name}_{part}" for m in METRICS if m.kind == "histogram" for part in ("bucket", "count", "sum")}
    paths = {route.template for route in ROUTES}
    for rule in RULES:
        assert set(re.findall(r"embedding_\w+", rule["expr"])) <= names
        for routes in re.findall(r'route=~"([^"]+)"', rule["expr"]):
            assert set(routes.split("|")) <= paths
        for bound in re.findall(r'le="([^"]+)"', rule["expr"]):
            assert bound in {repr(seconds) for seconds in SECONDS}


@pytest.mark.parametrize(("alert", "series", "minute", "fires"), CASES)
def test_an_alert_fires_when_its_series_say_so(
    alert: str, series: dict[str, str], minute: int, fires: bool, tmp_path: Path
) -> None:
    # Whether it fires is asked of ALERTS, so that a case need not spell out labels and words.
    count = [{"labels": "{}", "value": 1}] if fires else []
    case = {
        "rule_files": ["rules.yaml"],
        "evaluation_interval": "15s",
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": name, "values": values} for name, values in series.items()],
                "promql_expr_test": [
                    {
                        "expr": f'count(ALERTS{{alertname="{alert}",alertstate="firing"}})',
                        "eval_time": f"{minute}m",
                        "exp_samples": count,
                    }
                ],
            }
        ],
    }
    (tmp_path / "case.yaml").write_text(yaml.safe_dump(case))
    done = promtool(tmp_path, "test", "rules", "case.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
