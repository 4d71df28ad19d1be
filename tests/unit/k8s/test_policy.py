"""What a platform engineer would ask of the manifests before merging them."""

import re
from typing import Any

import pytest
import yaml

from app.auth import key_file
from app.config.args import Limits
from app.config.settings import AppArgs
from tests.unit.k8s.manifests import (
    OVERLAYS,
    ROOT,
    Manifest,
    cluster,
    flags,
    groups,
    of_kind,
    pods,
    rayservice,
    serve_config,
)
from tests.unit.k8s.serve import DRAINING_S

DASHBOARD, GCS, STATS = 8265, 6379, 8404
TMP, SHM, KEYS = "/tmp", "/dev/shm", "/etc/embeddings"  # noqa: S108 - mount points in a pod
PUBLIC = [overlay for overlay in OVERLAYS if overlay != "dev"]


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
        # Only the head's autoscaler speaks with the Kubernetes API.
        assert spec.get("automountServiceAccountToken", True) == (name == "head"), name


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_limits_are_set_and_requests_equal_them(overlay: str) -> None:
    for name, container in _containers(overlay):
        resources = container["resources"]
        assert {"cpu", "memory"} <= resources["limits"].keys(), name
        assert resources["requests"] == resources["limits"], name


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


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_only_the_service_port_is_open(overlay: str) -> None:
    for name in groups(overlay):
        opened = _opened(overlay, name)
        assert opened["own pods"] == {"all"}
        if name == "head":
            assert opened["monitoring"] == {8080, 9101}
            assert opened.keys() == {"own pods", "monitoring", "kuberay-system"}
            assert opened["kuberay-system"] == {DASHBOARD, 8000}
        else:
            assert opened["monitoring"] == {8080, 9101, 8000}
            assert opened.keys() == {"own pods", "monitoring", "ingress-nginx"}
            assert opened["ingress-nginx"] == {8000}
        assert not {GCS, STATS} & {port for who, ports in opened.items() if who != "own pods" for port in ports}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_dashboard_is_the_operator_pods_only(overlay: str) -> None:
    peers = [
        peer
        for policy in of_kind(overlay, "NetworkPolicy")
        for rule in policy["spec"].get("ingress", [])
        if DASHBOARD in {port["port"] for port in rule.get("ports", [])}
        for peer in rule["from"]
    ]
    assert [peer["podSelector"]["matchLabels"] for peer in peers] == [{"app.kubernetes.io/name": "kuberay-operator"}]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_traces_have_a_way_to_a_collector(overlay: str) -> None:
    ways = [
        {port["port"] for port in rule["ports"]}
        for policy in of_kind(overlay, "NetworkPolicy")
        for rule in policy["spec"].get("egress", [])
        for peer in rule["to"]
        if peer.get("namespaceSelector", {}).get("matchLabels") == {"kubernetes.io/metadata.name": "monitoring"}
    ]
    assert ways == [{4318}]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_no_way_leads_to_credentials_of_the_cloud(overlay: str) -> None:
    blocks = [
        peer["ipBlock"]
        for policy in of_kind(overlay, "NetworkPolicy")
        for rule in policy["spec"].get("egress", [])
        for peer in rule["to"]
        if "ipBlock" in peer
    ]
    assert blocks
    assert all("169.254.169.254/32" in block["except"] for block in blocks)


@pytest.mark.parametrize("overlay", PUBLIC)
def test_the_edge_lets_through_what_the_service_takes(overlay: str) -> None:
    (ingress,) = of_kind(overlay, "Ingress")
    annotations = {name.partition("/")[2]: value for name, value in ingress["metadata"]["annotations"].items()}
    limits = Limits()
    body = int(annotations["proxy-body-size"].removesuffix("m")) * 2**20
    assert max(limits.text_body, limits.image_body, limits.vector_body) <= body <= 2 * limits.vector_body
    assert limits.deadline_s < int(annotations["proxy-read-timeout"]) <= 2 * limits.deadline_s
    # The edge's own password would take the header that the key comes in.
    assert not [name for name in annotations if name.startswith("auth-")]
    assert ingress["spec"]["tls"][0]["hosts"] == [ingress["spec"]["rules"][0]["host"]]
    (path,) = ingress["spec"]["rules"][0]["http"]["paths"]
    service = path["backend"]["service"]
    assert service == {"name": rayservice(overlay)["metadata"]["name"] + "-serve-svc", "port": {"number": 8000}}


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


def test_kustomizations_name_every_file() -> None:
    for folder in [ROOT / "k8s" / "base", *(ROOT / "k8s" / "overlays" / overlay for overlay in OVERLAYS)]:
        written = (folder / "kustomization.yaml").read_text()
        assert yaml.safe_load(written)["kind"] == "Kustomization"
        assert [path.name for path in folder.iterdir() if path.name not in (written + "kustomization.yaml")] == []
