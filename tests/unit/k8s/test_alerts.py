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

# By the component that has them: ours, and those of other exporters.
MANIFESTS: dict[str, dict[str, Any]] = {
    path.parent.name: yaml.safe_load(path.read_text()) for path in sorted(ROOT.glob("k8s/components/*/alerts.yaml"))
}
RULES: dict[str, list[dict[str, Any]]] = {
    name: [rule for group in manifest["spec"]["groups"] for rule in group["rules"]]
    for name, manifest in MANIFESTS.items()
}
# What another exporter's series are called, by component; where their names come from stands in its files.
EXPORTERS = {
    "alerts-edge": r"envoy_http_downstream_rq_xx|up",
    "alerts-gpu": r"DCGM_FI_DEV_FB_(USED|FREE)",
    "alerts-kubernetes": r"kube_(pod|statefulset)_\w+|container_oom_events_total",
    "alerts-kuberay": r"kuberay_(service|cluster)_(info|condition_(ready|upgrade_in_progress|provisioned))",
}

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
SHARED = 'embedding_cache_entries{tier="shared"}'
AGED = 'embedding_cache_expirations_total{tier="shared"}'
FAILURES = "embedding_cache_failures_total"
ASKED = 'embedding_cache_lookups_total{tier="shared",result="miss"}'
NAMED = 'namespace="embeddings",name="embeddings"'
UPGRADES = f"kuberay_service_condition_upgrade_in_progress{{{NAMED},condition="
POD = 'namespace="embeddings",pod="embeddings-a-cpu-worker-1"'
ONE, TWO = (
    f'kube_pod_status_ready{{namespace="embeddings",pod="embeddings-a-cpu-worker-{n}",condition="true"}}' for n in "12"
)
WAITS = f"kube_pod_container_status_waiting_reason{{{POD},reason="
OOM = f'container_oom_events_total{{{POD},container="ray-worker"}}'
ENDED = f"kube_pod_container_status_terminated_reason{{{POD},reason="
LAST = f'kube_pod_container_status_last_terminated_reason{{{POD},container="ray-worker",reason='
RESTARTS = f'kube_pod_container_status_restarts_total{{{POD},container="ray-worker"}}'
REDIS = 'kube_statefulset_status_replicas_ready{namespace="embeddings",statefulset="redis"}'
SCRAPE = 'job="embeddings-edge",envoy_http_conn_manager_prefix'
EDGE = f'envoy_http_downstream_rq_xx{{{SCRAPE}="https-10443",envoy_response_code_class='
ADMIN = f'envoy_http_downstream_rq_xx{{{SCRAPE}="eg-stats-http",envoy_response_code_class="5"}}'
USED = 'DCGM_FI_DEV_FB_USED{exported_namespace="embeddings",gpu="0"}'
FREE = 'DCGM_FI_DEV_FB_FREE{exported_namespace="embeddings",gpu="0"}'

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
    ("EmbeddingCacheFails", {FAILURES: "0+60x30", ASKED: "0+60x30"}, 20, True),
    ("EmbeddingCacheFails", {FAILURES: "0+6x30", ASKED: "0+60x30"}, 20, False),
    ("EmbeddingCacheLost", {SHARED: "5000x20 10+20x20", AGED: "0x40"}, 22, True),
    ("EmbeddingCacheLost", {SHARED: "5000x20 5000-1000x4 10x20", AGED: "0x20 0+1000x4 5000x20"}, 24, False),
    ("EmbeddingCacheLost", {SHARED: "0+100x40", AGED: "0x40"}, 22, False),
    ("EmbeddingPodPending", {f'kube_pod_status_phase{{{POD},phase="Pending"}}': "1x30"}, 20, True),
    ("EmbeddingPodPending", {f'kube_pod_status_phase{{{POD},phase="Pending"}}': "1x10 0x30"}, 20, False),
    ("EmbeddingPodWaits", {WAITS + '"ImagePullBackOff"}': "1x20"}, 10, True),
    ("EmbeddingPodWaits", {WAITS + '"ContainerCreating"}': "1x20"}, 10, False),
    ("EmbeddingWorkersNeverReady", {ONE: "0x60", TWO: "0x60"}, 40, True),
    ("EmbeddingWorkersNeverReady", {ONE: "1x60", TWO: "0x60"}, 40, False),
    ("EmbeddingOutOfMemory", {ENDED + '"OOMKilled"}': "1x20"}, 10, True),
    ("EmbeddingOutOfMemory", {OOM: "0x10 1x20"}, 14, True),
    ("EmbeddingOutOfMemory", {OOM: "1x40", ENDED + '"Completed"}': "1x40"}, 30, False),
    ("EmbeddingOutOfMemory", {LAST + '"OOMKilled"}': "_x10 1x30", RESTARTS: "0x10 1x30"}, 14, True),
    ("EmbeddingOutOfMemory", {LAST + '"OOMKilled"}': "1x40", RESTARTS: "1x40"}, 30, False),
    ("EmbeddingOutOfMemory", {LAST + '"Error"}': "_x10 1x30", RESTARTS: "0x10 1x30"}, 14, False),
    ("EmbeddingRedisBelowThree", {REDIS: "2x30"}, 15, True),
    ("EmbeddingRedisBelowThree", {REDIS: "3x5 2x3 3x30"}, 15, False),
    ("EmbeddingRedisNoMajority", {REDIS: "1x30"}, 5, True),
    ("EmbeddingRedisNoMajority", {REDIS: "2x30"}, 5, False),
    ("EmbeddingServiceNotReady", {f'kuberay_service_condition_ready{{{NAMED},condition="false"}}': "1x20"}, 10, True),
    ("EmbeddingServiceNotReady", {f'kuberay_service_condition_ready{{{NAMED},condition="true"}}': "1x20"}, 10, False),
    ("EmbeddingUpgradeStuck", {UPGRADES + '"true"}': "1x60"}, 40, True),
    ("EmbeddingUpgradeStuck", {UPGRADES + '"true"}': "1x10", UPGRADES + '"false"}': "_x10 1x60"}, 40, False),
    (
        "EmbeddingClusterNotProvisioned",
        {'kuberay_cluster_condition_provisioned{namespace="embeddings",name="embeddings-a",condition="false"}': "1x60"},
        40,
        True,
    ),
    (
        "EmbeddingClusterNotProvisioned",
        {'kuberay_cluster_condition_provisioned{namespace="embeddings",name="embeddings-a",condition="true"}': "1x60"},
        40,
        False,
    ),
    ("EmbeddingOperatorUnseen", {'kuberay_service_info{namespace="other",name="embeddings"}': "1x40"}, 20, True),
    ("EmbeddingOperatorUnseen", {f"kuberay_service_info{{{NAMED}}}": "1x40"}, 20, False),
    ("EmbeddingEdgeErrors", {EDGE + '"2"}': "0+95x120", EDGE + '"5"}': "0+5x120"}, 100, True),
    ("EmbeddingEdgeErrors", {EDGE + '"2"}': "0+995x120", EDGE + '"5"}': "0+5x120", ADMIN: "0+500x120"}, 100, False),
    ("EmbeddingEdgeDown", {'up{job="embeddings-edge"}': "0x20"}, 10, True),
    ("EmbeddingEdgeDown", {'up{job="embeddings-edge"}': "1x20"}, 10, False),
    ("EmbeddingGpuMemory", {USED: "79000x20", FREE: "1000x20"}, 10, True),
    ("EmbeddingGpuMemory", {USED: "70000x20", FREE: "10000x20"}, 10, False),
]


def promtool(folder: Path, *arguments: str, alert: str = "") -> subprocess.CompletedProcess[str]:
    """With the rules of all alerts, or only of this one: evaluating the others takes most of the time."""
    groups = [group for manifest in MANIFESTS.values() for group in manifest["spec"]["groups"]]
    if alert:
        groups = [group | {"rules": [rule for rule in group["rules"] if rule["alert"] == alert]} for group in groups]
    (folder / "rules.yaml").write_text(yaml.safe_dump({"groups": groups}))
    command = ["promtool", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)


def test_promtool_takes_the_rules(tmp_path: Path) -> None:
    check = promtool(tmp_path, "check", "rules", "rules.yaml")
    assert check.returncode == 0, check.stdout + check.stderr


def test_every_alert_has_a_case_that_fires_and_one_that_does_not() -> None:
    for rule in (rule for rules in RULES.values() for rule in rules):
        assert {fires for name, _, _, fires in CASES if name == rule["alert"]} == {True, False}


def test_rules_ask_for_what_there_is() -> None:
    names = {metric.name for metric in METRICS}
    names |= {f"{m.name}_{part}" for m in METRICS if m.kind == "histogram" for part in ("bucket", "count", "sum")}
    paths = {route.template for route in ROUTES}
    for rule in RULES["monitoring"]:
        assert set(re.findall(r"embedding_\w+", rule["expr"])) <= names
        for routes in re.findall(r'route=~"([^"]+)"', rule["expr"]):
            assert set(routes.split("|")) <= paths
        for bound in re.findall(r'le="([^"]+)"', rule["expr"]):
            assert bound in {repr(seconds) for seconds in SECONDS}


def test_rules_on_others_series_are_in_components_of_their_own() -> None:
    assert RULES.keys() == EXPORTERS.keys() | {"monitoring"}
    for name, pattern in EXPORTERS.items():
        for rule in RULES[name]:
            asked = re.findall(r"(?<![\w\"/])([A-Za-z]\w+)\{", rule["expr"])
            assert asked, rule["alert"]
            assert all(re.fullmatch(pattern, each) for each in asked), asked
    alerts = [rule["alert"] for rules in RULES.values() for rule in rules]
    assert len(set(alerts)) == len(alerts)


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
    done = promtool(tmp_path, "test", "rules", "case.yaml", alert=alert)
    assert done.returncode == 0, done.stdout + done.stderr
