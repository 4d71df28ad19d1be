"""The overlays as `kubectl kustomize` renders them, and what the tests look for in them."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
OVERLAYS = ("cpu", "dev", "gpu", "ha")
PUBLIC = ("cpu", "gpu", "ha")
# Those that add objects; the others only change one.
CHANGING = {"gpu-workers"}
COMPONENTS = tuple(sorted(p.name for p in (ROOT / "k8s/components").iterdir() if p.name not in CHANGING))

Manifest = dict[str, Any]


@cache
def render(overlay: str) -> tuple[Manifest, ...]:
    """Every object of the overlay."""
    return _rendered(_kubectl(), ROOT / "k8s" / "overlays" / overlay)


@cache
def render_component(component: str) -> tuple[Manifest, ...]:
    """Every object that the component adds."""
    return _rendered(_kubectl(), ROOT / "k8s" / "components" / component)


def render_folder(folder: Path) -> tuple[Manifest, ...]:
    """Every object of a kustomization that a test wrote."""
    return _rendered(_kubectl(), folder)


def _kubectl() -> str:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        assert not os.environ.get("CI"), "CI needs kubectl; .ci/run says how"
        # Some modules render when they are imported.
        pytest.skip("no kubectl on the PATH: the manifests were not rendered", allow_module_level=True)
    return kubectl


def _rendered(kubectl: str, folder: Path) -> tuple[Manifest, ...]:
    command = [kubectl, "kustomize", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return tuple(yaml.load_all(done.stdout, Loader=yaml.CSafeLoader))


def of_kind(overlay: str, kind: str) -> list[Manifest]:
    return [manifest for manifest in render(overlay) if manifest["kind"] == kind]


def rayservice(overlay: str) -> Manifest:
    (service,) = of_kind(overlay, "RayService")
    return service


def cluster(overlay: str) -> Manifest:
    config: Manifest = rayservice(overlay)["spec"]["rayClusterConfig"]
    return config


def groups(overlay: str) -> dict[str, Manifest]:
    """Head and worker groups of the Ray cluster, by name."""
    config = cluster(overlay)
    return {"head": config["headGroupSpec"]} | {group["groupName"]: group for group in config["workerGroupSpecs"]}


def pods(overlay: str) -> Iterator[tuple[str, Manifest]]:
    """Every pod template, Ray's and others', with its name."""
    for name, group in groups(overlay).items():
        yield name, group["template"]
    for manifest in of_kind(overlay, "StatefulSet"):
        yield manifest["metadata"]["name"], manifest["spec"]["template"]


def serve_config(overlay: str) -> Manifest:
    config: Manifest = yaml.safe_load(rayservice(overlay)["spec"]["serveConfigV2"])
    return config


def flags(overlay: str) -> dict[str, str]:
    """Environment of the Ray nodes."""
    (config,) = (c for c in of_kind(overlay, "ConfigMap") if c["metadata"]["name"].startswith("serve-flags-"))
    data: dict[str, str] = config["data"]
    return data
