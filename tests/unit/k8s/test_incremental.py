"""The overlay with KubeRay's incremental upgrade: what KubeRay asks for, and that no key crosses its plain listener."""

from app.config.args import Limits
from tests.unit.k8s.manifests import ROOT, Manifest, render, render_folder
from tests.unit.k8s.schemas import check

# What KubeRay 1.7.0 makes (rayservice_controller.go: createGateway, createHTTPRoute), and what Envoy Gateway adds.
ITS_GATEWAY, ITS_ROUTE, ITS_PORT, ENVOYS_SHIFT = "embeddings-gateway", "embeddings-httproute", 80, 10000
EDGE = "envoy-gateway-system"


def _rendered() -> tuple[Manifest, ...]:
    return render_folder(ROOT / "k8s/overlays/incremental")


def _one(kind: str, name: str) -> Manifest:
    [found] = [m for m in _rendered() if (m["kind"], m["metadata"]["name"]) == (kind, name)]
    return found


def test_objects_are_valid() -> None:
    check(_rendered())


def test_only_the_stated_objects_differ_from_cpu() -> None:
    ours = {(m["kind"], m["metadata"]["name"]): m for m in _rendered()}
    theirs = {(m["kind"], m["metadata"]["name"]): m for m in render("cpu")}
    assert theirs.keys() <= ours.keys()
    differing = {key for key, manifest in theirs.items() if ours[key] != manifest}
    assert differing == {("RayService", "embeddings"), ("HTTPRoute", "embeddings")}
    service, same = ours["RayService", "embeddings"]["spec"], theirs["RayService", "embeddings"]["spec"]
    assert service | {"upgradeStrategy": same["upgradeStrategy"]} == same
    assert {kind for kind, _ in ours.keys() - theirs.keys()} == {
        "GatewayClass",
        "EnvoyProxy",
        "ReferenceGrant",
        "NetworkPolicy",
        "BackendTrafficPolicy",
    }


def test_kuberay_takes_the_options() -> None:
    """validation.go, ValidateClusterUpgradeOptions."""
    spec = _one("RayService", "embeddings")["spec"]
    options = spec["upgradeStrategy"]["clusterUpgradeOptions"]
    assert spec["upgradeStrategy"]["type"] == "NewClusterWithIncrementalUpgrade"
    assert spec["rayClusterConfig"]["enableInTreeAutoscaling"] is True
    assert 0 < options["stepSizePercent"] <= options["maxSurgePercent"] <= 100
    assert options["intervalSeconds"] > 0
    assert options["gatewayClassName"] == _one("GatewayClass", "embeddings-inner")["metadata"]["name"]


def test_no_key_crosses_the_plain_listener_from_outside() -> None:
    parameters = _one("GatewayClass", "embeddings-inner")["spec"]["parametersRef"]
    proxy = _one(parameters["kind"], parameters["name"])
    assert proxy["metadata"]["namespace"] == parameters["namespace"] == EDGE
    service = proxy["spec"]["provider"]["kubernetes"]["envoyService"]
    # No load balancer and no port of a node.
    assert service["type"] == "ClusterIP"
    # Its only client is the proxy that ends TLS.
    policy = _one("NetworkPolicy", "embeddings-inner")
    label = "gateway.envoyproxy.io/owning-gateway-name"
    assert policy["metadata"]["namespace"] == EDGE
    assert policy["spec"]["podSelector"]["matchLabels"][label] == ITS_GATEWAY
    [rule] = policy["spec"]["ingress"]
    [peer] = rule["from"]
    gateway = _one("Gateway", "embeddings")
    assert peer["podSelector"]["matchLabels"][label] == gateway["metadata"]["name"]
    assert [port["port"] for port in rule["ports"]] == [ITS_PORT + ENVOYS_SHIFT]
    # Each Gateway has TLS: the only other one is KubeRay's, behind ours.
    assert [m["metadata"]["name"] for m in _rendered() if m["kind"] == "Gateway"] == ["embeddings"]
    assert {listener["protocol"] for listener in gateway["spec"]["listeners"]} == {"HTTPS"}
    [rule] = _one("HTTPRoute", "embeddings")["spec"]["rules"]
    assert rule["backendRefs"] == [{"name": service["name"], "namespace": EDGE, "port": ITS_PORT}]
    grant = _one("ReferenceGrant", "embeddings-inner")
    assert grant["metadata"]["namespace"] == EDGE
    assert grant["spec"]["from"] == [
        {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": "embeddings"}
    ]
    assert grant["spec"]["to"] == [{"group": "", "kind": "Service", "name": service["name"]}]


def test_the_inner_route_waits_as_long_as_the_service() -> None:
    policy = _one("BackendTrafficPolicy", "embeddings-inner")["spec"]
    [target] = policy["targetRefs"]
    assert (target["kind"], target["name"]) == ("HTTPRoute", ITS_ROUTE)
    assert int(policy["timeout"]["http"]["requestTimeout"].removesuffix("s")) > Limits().deadline_s
