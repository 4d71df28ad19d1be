"""What a platform engineer would ask of the manifests before merging them."""

import re
from collections.abc import Iterable, Iterator
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
import yaml

from app.auth import key_file
from app.config.args import Limits
from app.config.settings import AppArgs
from tests.unit.k8s.manifests import (
    COMPONENTS,
    OVERLAYS,
    PUBLIC,
    ROOT,
    Manifest,
    cluster,
    flags,
    groups,
    of_kind,
    pods,
    rayservice,
    render,
    render_component,
    serve_config,
)
from tests.unit.k8s.serve import DRAINING_S

DASHBOARD, GCS, STATS = 8265, 6379, 8404
TMP, SHM, KEYS = "/tmp", "/dev/shm", "/etc/embeddings"  # noqa: S108 - mount points in a pod


def _containers(overlay: str) -> list[tuple[str, Manifest]]:
    found = [(name, container) for name, pod in pods(overlay) for container in pod["spec"]["containers"]]
    # KubeRay makes the autoscaler's container from these.
    return [*found, ("autoscaler", cluster(overlay)["autoscalerOptions"])]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_containers_are_not_privileged_and_write_nowhere_but_to_volumes(overlay: str) -> None:
    for name, container in _containers(overlay):
        context = container["securityContext"]
        assert context == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "capabilities": {"drop": ["ALL"]},
        }, name


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_pods_share_nothing_with_their_host(overlay: str) -> None:
    for name, pod in pods(overlay):
        spec = pod["spec"]
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys(), name
        assert all("hostPath" not in volume for volume in spec.get("volumes", [])), name
        assert spec["securityContext"]["runAsNonRoot"], name
        assert spec["securityContext"]["runAsUser"] > 0, name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        # Only the autoscaler speaks with the Kubernetes API: its token is mounted there and nowhere else.
        assert spec["automountServiceAccountToken"] is False, name
        mounted = [c["name"] for c in spec["containers"] for m in c["volumeMounts"] if "token" in m["name"]]
        assert mounted == [], name
    token = {"name": "autoscaler-token", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "readOnly": True}
    assert token in cluster(overlay)["autoscalerOptions"]["volumeMounts"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_memory_is_limited_to_what_is_requested(overlay: str) -> None:
    for name, container in _containers(overlay):
        requests, limits = container["resources"]["requests"], container["resources"]["limits"]
        assert {"cpu", "memory"} <= requests.keys(), name
        assert {kind: amount for kind, amount in requests.items() if kind != "cpu"} == {
            kind: amount for kind, amount in limits.items() if kind != "cpu"
        }, name


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_workers_have_cpus_beside_what_ray_gives_away_and_are_not_throttled(overlay: str) -> None:
    for name, group in groups(overlay).items():
        resources = group["template"]["spec"]["containers"][0]["resources"]
        if name != "head":
            assert "cpu" not in resources["limits"], name
            # Stated: Ray would count the CPUs of the whole machine.
            assert "num-cpus" in group["rayStartParams"], name
            # `dev`'s two are for Ray's accounts on a laptop.
            assert overlay == "dev" or float(group["rayStartParams"]["num-cpus"]) < _cpus(resources["requests"]["cpu"])
            # A node of 4 or 8 CPUs has some for its system.
            assert _cpus(resources["requests"]["cpu"]) not in (4, 8), name


def _cpus(quantity: str) -> float:
    return float(quantity[:-1]) / 1000 if quantity.endswith("m") else float(quantity)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_images_are_pinned(overlay: str) -> None:
    for name, pod in pods(overlay):
        for container in pod["spec"]["containers"]:
            tag = container["image"].partition(":")[2]
            assert tag not in ("", "latest"), name


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_ray_nodes_have_the_folders_they_write_to(overlay: str) -> None:
    for name, group in groups(overlay).items():
        spec = group["template"]["spec"]
        mounts = {mount["mountPath"]: mount["name"] for mount in spec["containers"][0]["volumeMounts"]}
        volumes = {volume["name"]: volume for volume in spec["volumes"]}
        assert mounts.keys() == {TMP, SHM, "/cache", KEYS}, name
        assert all("sizeLimit" in volumes[mounts[path]]["emptyDir"] for path in (TMP, SHM, "/cache")), name
        shared = volumes[mounts[SHM]]["emptyDir"]
        assert shared["medium"] == "Memory", name
        # Ray fails to start when its object store is larger than the memory it is mapped from.
        assert int(group["rayStartParams"]["object-store-memory"]) < _bytes(shared["sizeLimit"]), name


def _bytes(quantity: str) -> int:
    assert quantity.endswith("Gi")
    return int(quantity[:-2]) * 2**30


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_probes_are_kuberays(overlay: str) -> None:
    for name, group in groups(overlay).items():
        container = group["template"]["spec"]["containers"][0]
        assert not {"livenessProbe", "readinessProbe", "startupProbe"} & container.keys(), name


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_head_takes_no_work_and_no_requests(overlay: str) -> None:
    assert groups(overlay)["head"]["rayStartParams"]["num-cpus"] == "0"
    assert rayservice(overlay)["spec"]["excludeHeadPodFromServeSvc"] is True


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_ray_asks_for_a_token(overlay: str) -> None:
    assert cluster(overlay)["authOptions"] == {"mode": "token"}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_upgrade_keeps_serving(overlay: str) -> None:
    spec = rayservice(overlay)["spec"]
    assert spec["upgradeStrategy"] == {"type": "NewCluster"}
    assert cluster(overlay)["enableInTreeAutoscaling"] is True
    # The old cluster outlives the last request that reached it.
    assert spec["rayClusterDeletionDelaySeconds"] > DRAINING_S + Limits().deadline_s


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_worker_drains_before_it_goes(overlay: str) -> None:
    for name, group in groups(overlay).items():
        spec = group["template"]["spec"]
        assert spec["terminationGracePeriodSeconds"] >= 60
        if name == "head":
            continue
        command = spec["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][-1]
        steps = re.fullmatch(r"sleep (\d+); timeout (\d+) ray drain-node .* sleep (\d+)", command)
        assert steps
        before, drain, after = map(int, steps.groups())
        # Requests that came in by this node end; then replicas get Serve's own time.
        assert before > Limits().deadline_s
        assert after > DRAINING_S
        assert f"--deadline-remaining-seconds {after + 5};" in command
        # The hook leaves time for SIGTERM.
        assert spec["terminationGracePeriodSeconds"] >= before + drain + after + 30
        assert int(flags(overlay)["RAY_SERVE_HAPROXY_HARD_STOP_AFTER_S"]) > Limits().deadline_s


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_replicas_end_within_the_hook(overlay: str) -> None:
    args = AppArgs.model_validate(serve_config(overlay)["applications"][0]["args"])
    placements = [*args.text_models, *args.image_models, args.ingress, args.similarity]
    assert max(placement.graceful_shutdown_timeout_s for placement in placements) <= DRAINING_S


def _selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    assert selector.keys() <= {"matchLabels"}
    return bool(selector.get("matchLabels", {}).items() <= labels.items())


def _labels(name: str, template: Manifest) -> dict[str, str]:
    """A pod's labels with those that KubeRay adds."""
    node = {"head": "head", "redis": ""}.get(name, "worker")
    labels: dict[str, str] = template["metadata"]["labels"]
    return labels | {"ray.io/node-type": node, "ray.io/group": name}


def _opened(overlay: str, pod: str) -> dict[str, set[Any]]:
    """Ports of a pod that are open, by who may reach them: a namespace, or 'own pods'."""
    template = dict(pods(overlay))[pod]
    opened: dict[str, set[Any]] = {}
    for policy in of_kind(overlay, "NetworkPolicy"):
        if not _selects(policy["spec"]["podSelector"], _labels(pod, template)):
            continue
        for rule in policy["spec"].get("ingress", []):
            for peer in rule["from"]:
                namespace = peer.get("namespaceSelector", {}).get("matchLabels", {})
                who = namespace.get("kubernetes.io/metadata.name", "own pods")
                opened.setdefault(who, set()).update(port["port"] for port in rule.get("ports", [{"port": "all"}]))
    return opened


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_everything_is_closed_at_first(overlay: str) -> None:
    denied = [policy["spec"] for policy in of_kind(overlay, "NetworkPolicy") if not policy["spec"]["podSelector"]]
    assert denied == [{"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}]


MONITORING, EDGE, OPERATOR = "monitoring", "envoy-gateway-system", "kuberay-system"


@pytest.mark.parametrize("overlay", PUBLIC)
def test_who_may_reach_what(overlay: str) -> None:
    for name in groups(overlay):
        opened = _opened(overlay, name)
        if name == "head":
            assert opened == {"own pods": {"all"}, MONITORING: {8080, 9101}, OPERATOR: {DASHBOARD, 8000}}
        else:
            assert opened == {"own pods": {"all"}, MONITORING: {8080, 9101, 8000}, EDGE: {8000}}
        assert not {GCS, STATS} & {port for who, ports in opened.items() if who != "own pods" for port in ports}


def test_without_components_only_the_operator_reaches_the_head() -> None:
    assert _opened("dev", "head") == {"own pods": {"all"}, OPERATOR: {DASHBOARD, 8000}}
    assert _opened("dev", "cpu") == {"own pods": {"all"}}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_dashboard_is_the_operator_pods_only(overlay: str) -> None:
    peers = [
        peer
        for policy in of_kind(overlay, "NetworkPolicy")
        for rule in policy["spec"].get("ingress", [])
        if DASHBOARD in {port["port"] for port in rule.get("ports", [])}
        for peer in rule["from"]
    ]
    label = {"app.kubernetes.io/component": "kuberay-operator"}
    assert [peer["podSelector"]["matchLabels"] for peer in peers] == [label]


@pytest.mark.parametrize("overlay", PUBLIC)
def test_traces_have_a_way_to_a_collector(overlay: str) -> None:
    ways = [
        {port["port"] for port in rule["ports"]}
        for policy in of_kind(overlay, "NetworkPolicy")
        for rule in policy["spec"].get("egress", [])
        for peer in rule["to"]
        if peer.get("namespaceSelector", {}).get("matchLabels") == {"kubernetes.io/metadata.name": "monitoring"}
    ]
    assert ways == [{4318}]


METADATA = ip_address("169.254.169.254")


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
    assert {name for name, *_ in found} >= {"head-to-api-server", "workers-to-hub", "workers-to-image-urls"}
    for name, block, excepted, ports in found:
        open_ = METADATA in block and not any(METADATA in each for each in excepted)
        # Cloud DNS answers at the same address, on another port than credentials.
        assert not open_ or ports == {53}, name


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_head_does_not_reach_the_internet(overlay: str) -> None:
    head = dict(pods(overlay))["head"]
    chosen = [p for p in of_kind(overlay, "NetworkPolicy") if _selects(p["spec"]["podSelector"], _labels("head", head))]
    blocks = list(_blocks(chosen))
    assert blocks
    assert all(block.is_private or block == ip_network("100.64.0.0/10") for _, block, _, _ in blocks)


def test_image_urls_lead_to_public_addresses_only() -> None:
    [(_, _, excepted, ports)] = _blocks(render_component("image-urls"))
    assert ports == {443}
    for address in ("10.1.2.3", "172.20.0.1", "192.168.1.1", "100.64.0.1", "169.254.169.254", "127.0.0.1"):
        assert any(ip_address(address) in block for block in excepted), address


@pytest.mark.parametrize("overlay", PUBLIC)
def test_the_edge_lets_through_what_the_service_takes(overlay: str) -> None:
    limits = Limits()
    (gateway,), (route,) = of_kind(overlay, "Gateway"), of_kind(overlay, "HTTPRoute")
    (clients,), (backend,) = of_kind(overlay, "ClientTrafficPolicy"), of_kind(overlay, "BackendTrafficPolicy")
    # A key never crosses in clear: there is no other listener.
    (listener,) = gateway["spec"]["listeners"]
    assert (listener["protocol"], listener["port"], listener["tls"]["mode"]) == ("HTTPS", 443, "Terminate")
    assert route["spec"]["hostnames"] == [listener["hostname"]]
    [parent] = route["spec"]["parentRefs"]
    assert parent == {"name": gateway["metadata"]["name"], "sectionName": listener["name"]}
    [rule] = route["spec"]["rules"]
    service = rayservice(overlay)["metadata"]["name"] + "-serve-svc"
    assert rule["backendRefs"] == [{"name": service, "port": 8000}]
    for timeout in rule["timeouts"].values():
        assert limits.deadline_s < int(timeout.removesuffix("s")) <= 2 * limits.deadline_s
    body = int(backend["spec"]["requestBuffer"]["limit"].removesuffix("Mi")) * 2**20
    assert max(limits.text_body, limits.image_body, limits.vector_body) <= body <= 2 * limits.vector_body
    for policy, target in ((clients, gateway), (backend, route)):
        [ref] = policy["spec"]["targetRefs"]
        assert (ref["kind"], ref["name"]) == (target["kind"], target["metadata"]["name"])


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_nobody_is_served_without_a_key_of_the_mounted_secret(overlay: str) -> None:
    args = AppArgs.model_validate(serve_config(overlay)["applications"][0]["args"]).with_environment(flags(overlay))
    assert (args.auth, args.asks_for_keys, args.access.keys) == ("required", True, ())
    assert args.access.keys_file == f"{KEYS}/keys"
    # Where there are none yet, or all have expired, the builder refuses.
    with pytest.raises(ValueError, match="API key"):
        key_file.check(args)
    for name, group in groups(overlay).items():
        spec = group["template"]["spec"]
        [mount] = [m for m in spec["containers"][0]["volumeMounts"] if m["mountPath"] == KEYS]
        # A mounted file (subPath) would not follow the Secret.
        assert mount == {"name": mount["name"], "mountPath": KEYS, "readOnly": True}, name
        [volume] = [v for v in spec["volumes"] if v["name"] == mount["name"]]
        assert volume["secret"] == {"secretName": "embeddings-keys", "defaultMode": 0o440}, name


def test_no_secret_is_in_the_repository() -> None:
    assert all(not of_kind(overlay, "Secret") for overlay in OVERLAYS)


def test_ha_outlives_a_node_a_zone_and_the_head() -> None:
    assert cluster("ha")["gcsFaultToleranceOptions"]["redisAddress"] == "redis:6379"
    # KubeRay gives each cluster a namespace of its own; a fixed one would mix the two clusters of an upgrade.
    assert "externalStorageNamespace" not in cluster("ha")["gcsFaultToleranceOptions"]
    workers = groups("ha")["cpu"]
    (budget,) = of_kind("ha", "PodDisruptionBudget")
    assert isinstance(budget["spec"]["minAvailable"], int)
    assert 2 <= budget["spec"]["minAvailable"] < workers["minReplicas"]
    assert _selects(budget["spec"]["selector"], _labels("cpu", workers["template"]))
    spread = workers["template"]["spec"]["topologySpreadConstraints"]
    assert {rule["topologyKey"]: rule["whenUnsatisfiable"] for rule in spread} == {
        "topology.kubernetes.io/zone": "DoNotSchedule",
        "kubernetes.io/hostname": "ScheduleAnyway",
    }
    assert all(_selects(rule["labelSelector"], _labels("cpu", workers["template"])) for rule in spread)
    args = AppArgs.model_validate(serve_config("ha")["applications"][0]["args"])
    scaled = [*args.text_models, *args.image_models, args.ingress, args.similarity]
    assert all(placement.autoscaling.min_replicas >= 2 for placement in scaled)
    assert args.ingress.autoscaling.min_replicas == workers["minReplicas"]


def test_redis_is_the_ray_nodes_only() -> None:
    assert _opened("ha", "redis") == {"own pods": {GCS}}


def test_flags_are_written_down_once() -> None:
    # A container's own variable would win over the shared ones, on that node only.
    for overlay in OVERLAYS:
        for name, group in groups(overlay).items():
            own = {variable["name"] for variable in group["template"]["spec"]["containers"][0].get("env", [])}
            assert not own & flags(overlay).keys(), name


def _words(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _words(inner)


def test_kustomizations_name_every_file() -> None:
    k8s = ROOT / "k8s"
    for folder in [k8s / "base", *(k8s / "overlays").iterdir(), *(k8s / "components").iterdir()]:
        written = yaml.safe_load((folder / "kustomization.yaml").read_text())
        assert written["kind"] == ("Component" if "components" in folder.parts else "Kustomization")
        # By value: a name within another's, or in a comment, names no file. A generator renames one by NEW=NAME.
        named = {word.rpartition("=")[2] for word in _words(written)} | {"kustomization.yaml"}
        assert {path.name for path in folder.iterdir()} - named == set(), folder


def test_every_object_is_in_the_namespace() -> None:
    for overlay in OVERLAYS:
        for manifest in render(overlay):
            assert manifest["kind"] == "Namespace" or manifest["metadata"]["namespace"] == "embeddings", overlay
