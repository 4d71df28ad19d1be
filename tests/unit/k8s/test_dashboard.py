"""The Grafana dashboard: what it asks for exists, and Grafana's sidecar finds it. `tests/cluster` runs its queries."""

import json
import re
from typing import Any

import pytest
import yaml

from app.api.routes import ROUTES
from app.telemetry.metrics import METRICS
from loadtests.prometheus import panels
from tests.unit.k8s.manifests import PUBLIC, ROOT, of_kind

DASHBOARD: dict[str, Any] = json.loads((ROOT / "k8s/components/monitoring/dashboard.json").read_text())
BY_NAME = {metric.name: metric for metric in METRICS}
EXPRESSIONS = [expression for panel in panels() for expression, _ in panel.queries]


@pytest.mark.parametrize("overlay", PUBLIC)
def test_every_cluster_has_it(overlay: str) -> None:
    (found,) = (c for c in of_kind(overlay, "ConfigMap") if "grafana_dashboard" in c["metadata"].get("labels", {}))
    assert found["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert found["metadata"]["name"] == "embeddings-dashboard"
    assert json.loads(found["data"]["embeddings.json"]) == DASHBOARD


def test_panels_do_not_overlap_and_have_numbers_of_their_own() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        cells = {(at["x"] + dx, at["y"] + dy) for dx in range(at["w"]) for dy in range(at["h"])}
        assert not cells & taken
        taken |= cells
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_queries_ask_for_what_there_is(expression: str) -> None:
    asked = re.findall(r"(embedding_\w+?)(_bucket|_sum|_count)?\b(?:\{([^}]*)\})?", expression)
    assert asked
    for name, part, labels in asked:
        metric = BY_NAME[name]
        assert bool(part) == (metric.kind == "histogram"), name
        # A counter's value by itself says nothing.
        assert metric.kind == "gauge" or "rate(" in expression
        assert set(re.findall(r"(\w+)=", labels)) <= set(metric.labels)
    for routes in re.findall(r'route=~"([^"]+)"', expression):
        assert set(routes.split("|")) <= {route.template for route in ROUTES}
    # Averages of percentiles are none: buckets are summed first.
    assert "histogram_quantile" not in expression or "sum by (le" in expression


def test_every_metric_is_shown() -> None:
    shown = {name for expression in EXPRESSIONS for name in BY_NAME if re.search(rf"{name}\b|{name}_", expression)}
    assert set(BY_NAME) - shown == {"embedding_gc_collections_total"}


def test_alerts_and_dashboard_read_the_same_job() -> None:
    config = yaml.safe_load((ROOT / "k8s/components/monitoring/scrapeconfig.yaml").read_text())
    assert config["spec"]["jobName"] == "embeddings"
    assert all("job=" not in expression for expression in EXPRESSIONS)
