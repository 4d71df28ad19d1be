"""Who may reach what, computed from rendered NetworkPolicies: a way is open where both of its ends allow it."""

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Network, ip_network
from typing import Any

from tests.unit.k8s.manifests import COMPONENTS, ROOT, Manifest, cluster, render, render_component, render_folder

ALL = "all"
PRIVATE = [ip_network(block) for block in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")]

Labels = dict[str, str]
Ports = frozenset[int | str]
Ways = dict[tuple[str, str], Ports]

_RAY: Labels = cluster("cpu")["headGroupSpec"]["template"]["metadata"]["labels"]
# Labels with those that KubeRay adds. It makes the clean-up job's pod from the head's template.
RAY_NODES: dict[str, Labels] = {
    "head": {**_RAY, "ray.io/node-type": "head", "ray.io/group": "headgroup"},
    "workers": {**_RAY, "ray.io/node-type": "worker", "ray.io/group": "cpu"},
    "clean-up job": {**_RAY, "ray.io/node-type": "redis-cleanup"},
}


def selects(selector: dict[str, Any], labels: Labels) -> bool:
    assert selector.keys() <= {"matchLabels"}
    return bool(selector.get("matchLabels", {}).items() <= labels.items())


def pods_of(manifests: Iterable[Manifest]) -> dict[str, Labels]:
    """Ray's nodes, and what the manifests make beside them."""
    sets = [each for each in manifests if each["kind"] in ("StatefulSet", "Job")]
    return RAY_NODES | {each["metadata"]["name"]: each["spec"]["template"]["metadata"]["labels"] for each in sets}


def _addresses(block: dict[str, Any]) -> str:
    network, excepted = ip_network(block["cidr"]), [ip_network(each) for each in block.get("except", [])]
    if network in PRIVATE:
        return "private addresses"
    if network == IPv4Network("0.0.0.0/0"):
        return "public addresses" if set(PRIVATE) <= set(excepted) else f"any address but {excepted[0].network_address}"
    return str(network.network_address if network.prefixlen == 32 else network)


def _outside(peer: dict[str, Any]) -> str:
    """A peer that is no pod of this namespace."""
    if "ipBlock" in peer:
        return _addresses(peer["ipBlock"])
    namespace: str = peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
    return ": ".join([f"`{namespace}`", *peer.get("podSelector", {}).get("matchLabels", {}).values()])


def _ends(policies: list[Manifest], labels: Labels, way: str) -> Iterator[tuple[dict[str, Any], Ports]]:
    """(peer, ports) of every rule of the policies that choose a pod."""
    chosen = [each["spec"] for each in policies if selects(each["spec"]["podSelector"], labels)]
    assert any(way in each["policyTypes"] for each in chosen), "nothing denies: Kubernetes would allow all"
    for spec in chosen:
        for rule in spec.get(way.lower(), []):
            ports = frozenset(port["port"] for port in rule["ports"]) if "ports" in rule else frozenset([ALL])
            for peer in rule["from" if way == "Ingress" else "to"]:
                yield peer, ports


def ways(manifests: Iterable[Manifest]) -> Ways:
    """Ports by (from, to)."""
    found = tuple(manifests)
    policies = [each for each in found if each["kind"] == "NetworkPolicy"]
    pods = pods_of(found)
    rules = {(pod, way): list(_ends(policies, pods[pod], way)) for pod in pods for way in ("Ingress", "Egress")}
    result: Ways = {}
    for (pod, way), ends in rules.items():
        for peer, ports in ends:
            if peer.keys() != {"podSelector"}:
                pair = (_outside(peer), pod) if way == "Ingress" else (pod, _outside(peer))
                result[pair] = result.get(pair, frozenset()) | ports
    for source in pods:
        for target in pods:
            outward = _inside(rules[source, "Egress"], pods[target])
            inward = _inside(rules[target, "Ingress"], pods[source])
            if both := (outward & inward) or (outward if ALL in inward else inward if ALL in outward else frozenset()):
                result[source, target] = both
    return result


def _inside(ends: list[tuple[dict[str, Any], Ports]], labels: Labels) -> Ports:
    chosen = [p for peer, p in ends if peer.keys() == {"podSelector"} and selects(peer["podSelector"], labels)]
    return frozenset().union(*chosen)


def layers() -> dict[str, Ways]:
    """What base opens, and what each component or overlay adds to it."""
    base = render_folder(ROOT / "k8s/base")
    first = ways(base)
    added = {f"components/{name}": (*base, *render_component(name)) for name in COMPONENTS}
    added["overlays/dev"] = render("dev")
    result = {"": first}
    for name, manifests in added.items():
        more = {pair: ports - first.get(pair, frozenset()) for pair, ports in ways(manifests).items()}
        result[name] = {pair: ports for pair, ports in more.items() if ports}
    return result


def _named(nodes: list[str]) -> str:
    return "Ray nodes" if set(nodes) == set(RAY_NODES) else ", ".join(nodes)


def markdown() -> str:
    """The table of k8s/README.md. Ray nodes that have the same ways share a row."""
    lines = ["| from | to | ports | with |", "|---|---|---|---|"]
    for layer, found in layers().items():
        rows: dict[tuple[str, bool, Ports], list[str]] = {}
        for (source, target), ports in found.items():
            outward = source in RAY_NODES
            node, other = (source, target) if outward else (target, source)
            rows.setdefault(("each other" if other in RAY_NODES else other, outward, ports), []).append(node)
        for (other, outward, ports), nodes in rows.items():
            names = _named(sorted(set(nodes), key=list(RAY_NODES).index)) if set(nodes) <= set(RAY_NODES) else nodes[0]
            source, target = (names, other) if outward else (other, names)
            numbers = ", ".join(map(str, sorted(ports, key=str)))
            lines.append(f"| {source} | {target} | {numbers} | {f'`{layer}`' if layer else ''} |")
    return "\n".join(lines)
