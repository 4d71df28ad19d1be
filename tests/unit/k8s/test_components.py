"""Overlays with components added to them: every combination that makes sense renders what its settings point to."""

import re
import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import yaml

from tests.unit.k8s.manifests import CHANGING, COMPONENTS, ROOT, Manifest, render_folder
from tests.unit.k8s.schemas import check

OVERLAYS = ("cpu", "dev", "gpu", "ha", "incremental")
REDIS = {"redis-managed", "redis-sentinel"}
# They change the RayService too; all others only add objects.
ALONE = ("logs", "models-volume", "redis-managed", "redis-sentinel")
# Those of KubeRay's incremental upgrade.
BESIDE_ENVOY = {"EnvoyProxy", "ReferenceGrant", "NetworkPolicy"}
# Made by hand (k8s/README.md).
SECRETS = {"embeddings-keys", "redis-password", "hub-token"}
IMAGE = dict(
    re.findall(r"^(?:ENV|   ) (HOME|XDG_CACHE_HOME|HF_HOME)=(\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
)


def _has(overlay: str) -> set[str]:
    """Components of the overlay, and of the one it stands on."""
    written = yaml.safe_load((ROOT / f"k8s/overlays/{overlay}/kustomization.yaml").read_text())
    below = [Path(each).name for each in written["resources"] if (ROOT / "k8s/overlays" / overlay / each).is_dir()]
    above = {Path(each).name for each in written.get("components", [])}
    return above.union(*(_has(each) for each in below if each != "base"))


def _combinations() -> Iterator[tuple[str, tuple[str, ...]]]:
    for overlay in OVERLAYS:
        left = [name for name in COMPONENTS if name not in _has(overlay)]
        yield from ((overlay, (name,)) for name in ALONE if name in left)
        yield overlay, tuple(name for name in left if name != "redis-managed")
    yield "cpu", ("gpu-workers", "logs", "models-volume")


COMBINATIONS = list(_combinations())


@cache
def _rendered(overlay: str, components: tuple[str, ...]) -> tuple[Manifest, ...]:
    """Named in the overlay's own kustomization, as k8s/README.md says."""
    with TemporaryDirectory() as name:
        k8s = Path(shutil.copytree(ROOT / "k8s", Path(name, "k8s")))
        file = k8s / "overlays" / overlay / "kustomization.yaml"
        written = yaml.safe_load(file.read_text())
        # One kind of Redis is in place of the other.
        kept = [
            each for each in written.get("components", []) if not (REDIS & {*components} and Path(each).name in REDIS)
        ]
        written["components"] = [*kept, *(f"../../components/{each}" for each in components)]
        file.write_text(yaml.safe_dump(written))
        return render_folder(file.parent)


def _one(manifests: tuple[Manifest, ...], kind: str, start: str) -> Manifest:
    [found] = [m for m in manifests if m["kind"] == kind and m["metadata"]["name"].startswith(start)]
    return found


def _groups(manifests: tuple[Manifest, ...]) -> dict[str, dict[str, Any]]:
    """Specs of the pods of the Ray cluster, by group."""
    config = _one(manifests, "RayService", "")["spec"]["rayClusterConfig"]
    groups = {"head": config["headGroupSpec"], **{each["groupName"]: each for each in config["workerGroupSpecs"]}}
    return {name: group["template"]["spec"] for name, group in groups.items()}


def _volume_at(pod: dict[str, Any], path: str) -> dict[str, Any] | None:
    """The volume that has this path in the Ray container; None: it is the image's own."""
    mounts = {Path(m["mountPath"]): m["name"] for m in pod["containers"][0]["volumeMounts"]}
    at = next((each for each in (Path(path), *Path(path).parents) if each in mounts), None)
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    return volumes[mounts[at]] if at else None


@pytest.mark.parametrize(("overlay", "components"), COMBINATIONS)
def test_nodes_have_what_their_settings_point_to(overlay: str, components: tuple[str, ...]) -> None:
    manifests = _rendered(overlay, components)
    service = _one(manifests, "RayService", "")
    [application] = yaml.safe_load(service["spec"]["serveConfigV2"])["applications"]
    flags = _one(manifests, "ConfigMap", "serve-flags-")
    for name, pod in _groups(manifests).items():
        container = pod["containers"][0]
        assert container["envFrom"] == [{"configMapRef": {"name": flags["metadata"]["name"]}}], name
        own = {each["name"]: each["value"] for each in container.get("env", [])}
        known = IMAGE | flags["data"] | own
        written = {key: _volume_at(pod, known[key]) for key in ("HOME", "XDG_CACHE_HOME")}
        assert all(volume and "emptyDir" in volume for volume in written.values()), name
        keys = _volume_at(pod, application["args"]["access"]["keys_file"])
        assert keys is not None
        assert keys["secret"]["secretName"] == "embeddings-keys", name
        models = _volume_at(pod, known["HF_HOME"])
        if "models-volume" in components:
            assert models is not None, name
            assert models["persistentVolumeClaim"] == {"claimName": "models", "readOnly": True}, name
        elif known["HF_HUB_OFFLINE"] == "0":
            assert models is not None, name
            assert "emptyDir" in models, name  # what the hub gives is written there
        else:
            assert models is None, name


@pytest.mark.parametrize(("overlay", "components"), COMBINATIONS)
def test_volumes_and_accounts_are_of_objects_that_are_there(overlay: str, components: tuple[str, ...]) -> None:
    manifests = _rendered(overlay, components)
    check(manifests)
    made = {(m["kind"], m["metadata"]["name"]) for m in manifests}
    for name, pod in _groups(manifests).items():
        for volume in pod["volumes"]:
            if "configMap" in volume:
                assert ("ConfigMap", volume["configMap"]["name"]) in made, name
            if "persistentVolumeClaim" in volume:
                assert ("PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"]) in made, name
            assert volume.get("secret", {}).get("secretName") in {None, *SECRETS}, name
        named = [volume["name"] for volume in pod["volumes"]]
        assert len(set(named)) == len(named), name
        for container in (*pod["containers"], *pod.get("initContainers", [])):
            assert {mount["name"] for mount in container["volumeMounts"]} <= set(named), name


@pytest.mark.parametrize(("overlay", "components"), COMBINATIONS)
def test_every_node_has_its_sidecar_where_there_are_any(overlay: str, components: tuple[str, ...]) -> None:
    for name, pod in _groups(_rendered(overlay, components)).items():
        assert len(pod.get("initContainers", [])) == ("logs" in components), name


@pytest.mark.parametrize(("overlay", "components"), COMBINATIONS)
def test_what_a_component_adds_is_in_the_namespace(overlay: str, components: tuple[str, ...]) -> None:
    for manifest in _rendered(overlay, components):
        name, space = manifest["metadata"]["name"], manifest["metadata"].get("namespace")
        if manifest["kind"] in ("Namespace", "GatewayClass"):
            assert space is None
        elif name == "embeddings-inner" and manifest["kind"] in BESIDE_ENVOY:
            assert space == "envoy-gateway-system"
        else:
            assert space == "embeddings", (manifest["kind"], name)


def test_a_managed_redis_is_in_place_of_the_three() -> None:
    for overlay in OVERLAYS:
        manifests = _rendered(overlay, ("redis-managed",))
        options = _one(manifests, "RayService", "")["spec"]["rayClusterConfig"]["gcsFaultToleranceOptions"]
        assert options["redisAddress"].startswith("rediss://")
        assert not any(m["kind"] == "StatefulSet" or m["metadata"]["name"].startswith("redis") for m in manifests)


def test_combinations_are_many_and_no_component_is_left_out() -> None:
    assert {overlay for overlay, _ in COMBINATIONS} == set(OVERLAYS)
    tried = set().union(*(components for _, components in COMBINATIONS)).union(*map(_has, OVERLAYS))
    assert tried == {*COMPONENTS, *CHANGING}
