"""The overlay that outlives a node, a zone and the head."""

import shutil
import subprocess
from typing import Any

import pytest

from app.config.settings import AppArgs
from tests.unit.k8s.manifests import ROOT, Manifest, cluster, groups, of_kind, render_component, serve_config
from tests.unit.k8s.reach import RAY_NODES, selects

ZONE, NODE = "topology.kubernetes.io/zone", "kubernetes.io/hostname"
STAYS = {"karpenter.sh/do-not-disrupt": "true", "cluster-autoscaler.kubernetes.io/safe-to-evict": "false"}
SCRIPTS = ROOT / "k8s/components/redis-sentinel"


def _budget(name: str) -> dict[str, Any]:
    [found] = [each for each in of_kind("ha", "PodDisruptionBudget") if each["metadata"]["name"] == name]
    spec: dict[str, Any] = found["spec"]
    return spec


def _redis() -> Manifest:
    [found] = of_kind("ha", "StatefulSet")
    return found


def test_workers_outlive_a_node_and_a_zone() -> None:
    workers = groups("ha")["cpu"]
    budget = _budget("embeddings-workers")
    assert isinstance(budget["minAvailable"], int)
    assert 2 <= budget["minAvailable"] < workers["minReplicas"]
    assert selects(budget["selector"], RAY_NODES["workers"])
    spread = workers["template"]["spec"]["topologySpreadConstraints"]
    assert {rule["topologyKey"]: rule["whenUnsatisfiable"] for rule in spread} == {
        ZONE: "DoNotSchedule",
        NODE: "ScheduleAnyway",
    }
    assert all(selects(rule["labelSelector"], RAY_NODES["workers"]) for rule in spread)
    args = AppArgs.model_validate(serve_config("ha")["applications"][0]["args"])
    scaled = [*args.text_models, *args.image_models, args.ingress, args.similarity]
    assert all(placement.autoscaling.min_replicas >= 2 for placement in scaled)
    assert args.ingress.autoscaling.min_replicas == workers["minReplicas"]


def test_the_head_is_moved_by_a_person_only_and_stands_apart_from_redis() -> None:
    budget = _budget("embeddings-head")
    assert budget["minAvailable"] == 1
    assert selects(budget["selector"], RAY_NODES["head"])
    assert not selects(budget["selector"], RAY_NODES["workers"])
    template = groups("ha")["head"]["template"]
    assert template["metadata"]["annotations"] == STAYS
    apart = template["spec"]["affinity"]["podAntiAffinity"]
    redis = _redis()["spec"]["template"]["metadata"]["labels"]
    [required] = apart["requiredDuringSchedulingIgnoredDuringExecution"]
    [preferred] = apart["preferredDuringSchedulingIgnoredDuringExecution"]
    assert (required["topologyKey"], preferred["podAffinityTerm"]["topologyKey"]) == (NODE, ZONE)
    assert selects(required["labelSelector"], redis)
    assert selects(preferred["podAffinityTerm"]["labelSelector"], redis)


def test_redis_outlives_a_node_and_a_zone() -> None:
    spec = _redis()["spec"]
    pod = spec["template"]
    # A majority is left when one is away.
    assert (spec["replicas"], _budget("redis")["maxUnavailable"]) == (3, 1)
    assert selects(_budget("redis")["selector"], pod["metadata"]["labels"])
    assert pod["metadata"]["annotations"] == STAYS
    [apart] = pod["spec"]["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    [spread] = pod["spec"]["topologySpreadConstraints"]
    assert (apart["topologyKey"], spread["topologyKey"], spread["whenUnsatisfiable"]) == (NODE, ZONE, "DoNotSchedule")
    assert selects(apart["labelSelector"], pod["metadata"]["labels"])


def test_ray_asks_the_sentinels_who_is_primary() -> None:
    options = cluster("ha")["gcsFaultToleranceOptions"]
    services = {each["metadata"]["name"]: each["spec"] for each in of_kind("ha", "Service")}
    name, _, port = options["redisAddress"].partition(":")
    assert [each["port"] for each in services[name]["ports"]] == [int(port)]
    # KubeRay gives each cluster a namespace of its own; a fixed one would mix the two clusters of an upgrade.
    assert "externalStorageNamespace" not in options
    [redis, sentinel] = _redis()["spec"]["template"]["spec"]["containers"]
    values = {each["name"]: each.get("value") for each in redis["env"]}
    assert redis["env"] == sentinel["env"]
    assert (values["SENTINELS"], values["SENTINEL_PORT"]) == (name, port)
    assert values["DOMAIN"] == f"{_redis()['spec']['serviceName']}.embeddings.svc.cluster.local"
    # Names of pods that are not ready, or none would ever find another.
    assert services["redis"] | {"publishNotReadyAddresses": True, "clusterIP": "None"} == services["redis"]
    secret = options["redisPassword"]["valueFrom"]["secretKeyRef"]
    [password] = [each for each in redis["env"] if each["name"] == "REDIS_PASSWORD"]
    assert password["valueFrom"]["secretKeyRef"] == secret


def test_scripts_are_the_pods_and_shell_takes_them() -> None:
    [made] = [each for each in render_component("redis-sentinel") if each["kind"] == "ConfigMap"]
    scripts = {path.name: path.read_text() for path in SCRIPTS.glob("*.sh")}
    assert made["data"] == scripts
    for name, text in scripts.items():
        done = subprocess.run([shutil.which("sh") or "sh", "-n", SCRIPTS / name], capture_output=True, check=False)
        assert (done.returncode, done.stderr) == (0, b"")
        # A password on a command line shows in every list of processes; `echo` is the shell's own.
        for line in text.splitlines():
            assert "$REDIS_PASSWORD" not in line or line.strip().startswith(("echo ", "export REDISCLI_AUTH="))


@pytest.mark.parametrize("component", ["redis-managed", "redis-sentinel"])
def test_both_kinds_of_redis_patch_the_same_field(component: str) -> None:
    patch = (ROOT / f"k8s/components/{component}/rayservice-patch.yaml").read_text()
    assert "path: /spec/rayClusterConfig/gcsFaultToleranceOptions\n" in patch
    assert "secretKeyRef: {name: redis-password, key: password}" in patch
