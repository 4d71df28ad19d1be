"""Every rendered object is what its API server would take: built-in kinds, and KubeRay's strictly."""

from copy import deepcopy
from functools import cache
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from app.api.routes import ROUTES
from tests.unit.k8s.manifests import OVERLAYS, ROOT, Manifest, pods, rayservice, render

KUBERNETES = "1.35"
CUSTOM = {"RayService", "PodMonitor", "ScrapeConfig", "PrometheusRule"}


def _strict(schema: Any) -> Any:
    """The schema, refusing what it doesn't list. The API server only drops such fields, so a typo goes unseen."""
    if isinstance(schema, list):
        return [_strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    result = {name: _strict(value) for name, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and "additionalProperties" not in schema:
        result["additionalProperties"] = False
    if schema.get("x-kubernetes-int-or-string"):
        # Quantities and ports are either; the CRD says so beside its pattern, in words of its own.
        return {"type": ["integer", "string"]}
    return result


@cache
def _rayservice_schema() -> jsonschema.Draft202012Validator:
    crd = yaml.load((ROOT / "tests/unit/k8s/crd/ray.io_rayservices.yaml").read_text(), Loader=yaml.CSafeLoader)
    (version,) = crd["spec"]["versions"]
    schema = _strict(version["schema"]["openAPIV3Schema"])
    # The CRD leaves this one to the API server.
    schema["properties"]["metadata"] = {"type": "object"}
    return jsonschema.Draft202012Validator(schema)


def _complaints(service: Manifest) -> list[str]:
    return [f"{error.json_path}: {error.message}" for error in _rayservice_schema().iter_errors(service)]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_builtin_kinds_are_valid(overlay: str) -> None:
    builtin = [manifest for manifest in render(overlay) if manifest["kind"] not in CUSTOM]
    assert len(builtin) >= 8
    for manifest in builtin:
        kubernetes_validate.validate(manifest, KUBERNETES, strict=True)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_ray_service_is_valid(overlay: str) -> None:
    assert _complaints(rayservice(overlay)) == []


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_pod_templates_are_valid_pods(overlay: str) -> None:
    # The CRD's copy of the pod schema is of one Kubernetes version and has no field that was added later.
    for name, template in pods(overlay):
        pod = {"apiVersion": "v1", "kind": "Pod", **template, "metadata": {"name": name, **template["metadata"]}}
        kubernetes_validate.validate(pod, KUBERNETES, strict=True)


def test_schema_finds_typos_and_wrong_types() -> None:
    service = deepcopy(rayservice("cpu"))
    service["spec"]["excludeHeadPodFromServeService"] = True
    group = service["spec"]["rayClusterConfig"]["workerGroupSpecs"][0]
    group["maxReplicas"] = "8"
    group["template"]["spec"]["terminationGracePeriod"] = 60
    assert sorted(complaint.split(":")[0] for complaint in _complaints(service)) == [
        "$.spec",
        "$.spec.rayClusterConfig.workerGroupSpecs[0].maxReplicas",
        "$.spec.rayClusterConfig.workerGroupSpecs[0].template.spec",
    ]


def test_pod_monitor_names_ports_that_exist() -> None:
    # No schema here: the Prometheus operator's CRD is not part of this repository.
    (monitor,) = [manifest for manifest in render("cpu") if manifest["kind"] == "PodMonitor"]
    ports = {endpoint["port"] for endpoint in monitor["spec"]["podMetricsEndpoints"]}
    for _, template in pods("cpu"):
        assert ports <= {port["name"] for port in template["spec"]["containers"][0]["ports"]}
        wanted = monitor["spec"]["selector"]["matchLabels"] | {"ray.io/is-ray-node": "yes"}
        assert wanted.items() <= (template["metadata"]["labels"] | {"ray.io/is-ray-node": "yes"}).items()


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_clusters_page_is_scraped_through_the_service(overlay: str) -> None:
    # No schema here either; the fields are those of the operator's v1alpha1.
    (scrape,) = [manifest for manifest in render(overlay) if manifest["kind"] == "ScrapeConfig"]
    service = rayservice(overlay)["metadata"]
    assert scrape["metadata"]["namespace"] == service["namespace"]
    target = f"{service['name']}-serve-svc.{service['namespace']}.svc:8000"
    assert scrape["spec"]["staticConfigs"] == [{"targets": [target]}]
    assert scrape["spec"]["metricsPath"] in {route.path for route in ROUTES if route.method == "GET"}
