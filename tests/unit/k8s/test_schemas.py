"""Every rendered object is what its API server would take: built-in kinds and custom ones, strictly."""

import time
from copy import deepcopy
from pathlib import Path

import kubernetes_validate
import pytest

from app.api.middleware.auth import Authenticator
from app.api.routes import ROUTES
from app.auth import api_keys
from app.auth.key_file import open_key_file
from app.auth.quota import Quotas
from app.config.settings import AppArgs
from tests.support.calling import Service
from tests.unit.k8s.manifests import (
    COMPONENTS,
    OVERLAYS,
    PUBLIC,
    pods,
    rayservice,
    render,
    render_component,
    serve_config,
)
from tests.unit.k8s.schemas import KUBERNETES, check, complaints, schemas


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_objects_of_every_overlay_are_valid(overlay: str) -> None:
    assert len(render(overlay)) >= 8
    check(render(overlay))


@pytest.mark.parametrize("component", COMPONENTS)
def test_objects_of_every_component_are_valid(component: str) -> None:
    assert render_component(component)
    check(render_component(component))


def test_dev_needs_no_custom_resource_but_kuberays() -> None:
    assert {manifest["kind"] for manifest in render("dev")} & {kind for _, kind in schemas()} == {"RayService"}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_pod_templates_are_valid_pods(overlay: str) -> None:
    # The CRD's copy of the pod schema is of one Kubernetes version and has no field that was added later.
    for name, template in pods(overlay):
        pod = {"apiVersion": "v1", "kind": "Pod", **template, "metadata": {"name": name, **template["metadata"]}}
        kubernetes_validate.validate(pod, KUBERNETES, strict=True)


def test_schemas_find_typos_and_wrong_types() -> None:
    service = deepcopy(rayservice("cpu"))
    service["spec"]["excludeHeadPodFromServeService"] = True
    group = service["spec"]["rayClusterConfig"]["workerGroupSpecs"][0]
    group["maxReplicas"] = "8"
    group["template"]["spec"]["terminationGracePeriod"] = 60
    assert sorted(complaint.split(":")[0] for complaint in complaints(service)) == [
        "$.spec",
        "$.spec.rayClusterConfig.workerGroupSpecs[0].maxReplicas",
        "$.spec.rayClusterConfig.workerGroupSpecs[0].template.spec",
    ]
    for kind, path, value in (
        ("HTTPRoute", "timeout", "35s"),
        ("Gateway", "gatewayClass", "envoy"),
        ("BackendTrafficPolicy", "rateLimits", {}),
        ("ClientTrafficPolicy", "timeouts", {}),
        ("ScrapeConfig", "jobname", "x"),
        ("PodMonitor", "podMetricsEndpoint", []),
        ("PrometheusRule", "group", []),
    ):
        [manifest] = [deepcopy(m) for m in render("cpu") if m["kind"] == kind]
        manifest["spec"][path] = value
        assert [complaint.split(":")[0] for complaint in complaints(manifest)] == ["$.spec"], kind


def test_pod_monitor_names_ports_that_exist() -> None:
    (monitor,) = [manifest for manifest in render("cpu") if manifest["kind"] == "PodMonitor"]
    ports = {endpoint["port"] for endpoint in monitor["spec"]["podMetricsEndpoints"]}
    for _, template in pods("cpu"):
        assert ports <= {port["name"] for port in template["spec"]["containers"][0]["ports"]}
        wanted = monitor["spec"]["selector"]["matchLabels"] | {"ray.io/is-ray-node": "yes"}
        assert wanted.items() <= (template["metadata"]["labels"] | {"ray.io/is-ray-node": "yes"}).items()


def test_the_clusters_page_is_scraped_through_the_service() -> None:
    for overlay in PUBLIC:
        (scrape,) = [manifest for manifest in render(overlay) if manifest["kind"] == "ScrapeConfig"]
        service = rayservice(overlay)["metadata"]
        assert scrape["metadata"]["namespace"] == service["namespace"]
        target = f"{service['name']}-serve-svc.{service['namespace']}.svc:8000"
        assert scrape["spec"]["staticConfigs"] == [{"targets": [target]}]
        assert scrape["spec"]["metricsPath"] in {route.path for route in ROUTES if route.method == "GET"}


def test_the_scrape_has_the_key_that_the_settings_ask_for(tmp_path: Path) -> None:
    """An overlay's own settings and the request that its ScrapeConfig describes, with the key that README makes."""
    secret, key = api_keys.make("metrics", ["read"])
    (tmp_path / "keys").write_text(key.line + "\n")
    args = AppArgs.model_validate(serve_config("cpu")["applications"][0]["args"])
    access = args.access.model_copy(update={"keys_file": str(tmp_path / "keys")})
    authenticator = Authenticator(open_key_file(access), access, Quotas(time.monotonic))
    service = Service(authenticator=authenticator, settings={"auth": args.auth, "access": access})
    (scrape,) = [manifest for manifest in render("cpu") if manifest["kind"] == "ScrapeConfig"]
    authorization = scrape["spec"]["authorization"]
    assert authorization["credentials"] == {"name": "embeddings-metrics-key", "key": "key"}
    path, headers = scrape["spec"]["metricsPath"], {"authorization": f"{authorization['type']} {secret}"}
    assert service.get(path, headers=headers).status_code == 200
    assert service.get(path).status_code == 401


def test_prometheus_finds_what_is_for_it() -> None:
    kinds = {"PodMonitor", "ScrapeConfig", "PrometheusRule"}
    ours = [manifest for manifest in render("cpu") if manifest["kind"] in kinds]
    assert {manifest["kind"] for manifest in ours} == kinds
    assert all(m["metadata"]["labels"]["release"] == "kube-prometheus-stack" for m in ours)
