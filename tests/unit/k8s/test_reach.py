"""Who may reach what: the table of k8s/README.md is computed from the rendered policies, and says what it must not."""

from collections.abc import Iterable, Iterator
from copy import deepcopy
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from tests.unit.k8s import reach
from tests.unit.k8s.manifests import COMPONENTS, OVERLAYS, PUBLIC, ROOT, Manifest, of_kind, render, render_component

DASHBOARD, GCS, STATS = 8265, 6379, 8404
OPERATOR, MONITORING, EDGE = "`kuberay-system`: kuberay-operator", "`monitoring`", "`envoy-gateway-system`"
METADATA = ip_address("169.254.169.254")


def _open_to(overlay: str, pod: str) -> dict[str, set[int | str]]:
    """Ports of a pod by who reaches them."""
    return {source: set(ports) for (source, target), ports in reach.ways(render(overlay)).items() if target == pod}


RAY = {name: {reach.ALL} for name in reach.RAY_NODES}


def test_the_readme_has_the_computed_table() -> None:
    assert reach.markdown() in (ROOT / "k8s/README.md").read_text()


@pytest.mark.parametrize("overlay", PUBLIC)
def test_who_reaches_ray_nodes(overlay: str) -> None:
    head, workers = _open_to(overlay, "head"), _open_to(overlay, "workers")
    assert head == RAY | {MONITORING: {8080, 9101}, OPERATOR: {DASHBOARD, 8000}}
    assert workers == RAY | {MONITORING: {8080, 9101, 8000}, EDGE: {8000}}
    strangers = [ports for source, ports in (*head.items(), *workers.items()) if source not in RAY]
    assert not {GCS, STATS, reach.ALL} & set().union(*strangers)


def test_without_components_only_the_operator_reaches_the_head() -> None:
    assert _open_to("dev", "head") == RAY | {OPERATOR: {DASHBOARD, 8000}}
    assert _open_to("dev", "workers") == RAY


def test_redis_is_the_heads_and_its_own() -> None:
    assert _open_to("ha", "redis") == {name: {GCS, 26379} for name in ("head", "clean-up job", "redis")}
    reached = {target for (source, target) in reach.ways(render("ha")) if source == "redis"}
    assert reached == {"redis", "`kube-system`: kube-dns"}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_everything_is_closed_at_first(overlay: str) -> None:
    denied = [policy["spec"] for policy in of_kind(overlay, "NetworkPolicy") if not policy["spec"]["podSelector"]]
    assert denied == [{"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}]


def test_a_way_needs_both_of_its_ends() -> None:
    manifests = [deepcopy(each) for each in render("ha")]
    [inward] = [m for m in manifests if (m["kind"], m["metadata"]["name"]) == ("NetworkPolicy", "redis")]
    [outward] = [m for m in manifests if m["metadata"]["name"] == "ray-nodes-to-redis"]
    assert ("head", "redis") in reach.ways(manifests)
    assert ("workers", "redis") not in reach.ways(manifests)
    outward["spec"]["egress"] = []
    assert ("head", "redis") not in reach.ways(manifests)
    # The head's side allows all within Ray's own pods, and no more.
    inward["spec"]["ingress"] = [{"from": [{"podSelector": {}}]}]
    assert ("head", "redis") not in reach.ways(manifests)
    closing = {"default-deny", "redis"}
    with pytest.raises(AssertionError, match="nothing denies"):
        reach.ways([m for m in manifests if m["kind"] != "NetworkPolicy" or m["metadata"]["name"] not in closing])


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_dashboard_is_the_operator_pods_only(overlay: str) -> None:
    found = {source for source, ports in _open_to(overlay, "head").items() if DASHBOARD in ports}
    assert found == {OPERATOR}


@pytest.mark.parametrize("overlay", PUBLIC)
def test_traces_have_a_way_to_a_collector(overlay: str) -> None:
    found = reach.ways(render(overlay))
    assert {found[node, MONITORING] for node in reach.RAY_NODES} == {frozenset([4318])}


def _blocks(policies: Iterable[Manifest]) -> Iterator[tuple[str, Any, list[Any], set[int]]]:
    """(policy, range, exceptions, ports) of every way out to addresses."""
    for policy in policies:
        for rule in policy["spec"].get("egress", []):
            for peer in rule["to"]:
                if "ipBlock" in peer:
                    excepted = [ip_network(block) for block in peer["ipBlock"].get("except", [])]
                    ports = {port["port"] for port in rule["ports"]}
                    yield policy["metadata"]["name"], ip_network(peer["ipBlock"]["cidr"]), excepted, ports


def test_no_way_leads_to_credentials_of_the_cloud() -> None:
    policies = [p for overlay in OVERLAYS for p in of_kind(overlay, "NetworkPolicy")]
    policies += [m for name in COMPONENTS for m in render_component(name) if m["kind"] == "NetworkPolicy"]
    found = list(_blocks(policies))
    assert {name for name, *_ in found} >= {"head-to-api-server", "ray-nodes-to-hub", "workers-to-image-urls"}
    for name, block, excepted, ports in found:
        open_ = METADATA in block and not any(METADATA in each for each in excepted)
        # Cloud DNS answers at the same address, on another port than credentials.
        assert not open_ or ports == {53}, name


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_head_does_not_reach_the_internet(overlay: str) -> None:
    ways = {target: set(ports) for (source, target), ports in reach.ways(render(overlay)).items() if source == "head"}
    assert "private addresses" in ways
    outside = {target: ports for target, ports in ways.items() if "public" in target or "any address" in target}
    # On a laptop it asks the hub whether a required model is there; elsewhere the image has it.
    assert outside == ({"any address but 169.254.169.254": {443}} if overlay == "dev" else {})


def test_image_urls_lead_to_public_addresses_only() -> None:
    [(_, _, excepted, ports)] = _blocks(render_component("image-urls"))
    assert ports == {443}
    for address in ("10.1.2.3", "172.20.0.1", "192.168.1.1", "100.64.0.1", "169.254.169.254", "127.0.0.1"):
        assert any(ip_address(address) in block for block in excepted), address
