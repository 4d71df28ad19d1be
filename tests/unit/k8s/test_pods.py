"""The pods: what they may do on their host, what they are given, and how they end."""

import re

import pytest

from app.config.args import Limits
from app.config.settings import AppArgs
from tests.unit.k8s.manifests import OVERLAYS, Manifest, cluster, flags, groups, pods, rayservice, serve_config
from tests.unit.k8s.serve import DRAINING_S

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
            assert float(group["rayStartParams"]["num-cpus"]) < _cpus(resources["requests"]["cpu"]), name
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
