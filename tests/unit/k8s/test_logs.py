"""The sidecar that brings logs out of the pods."""

import fnmatch
import json
import os
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import kubernetes_validate
import pytest
import yaml

from tests.unit.k8s.manifests import ROOT, Manifest, rayservice, render_folder
from tests.unit.k8s.schemas import KUBERNETES, check

OVERLAYS = ("cpu", "dev", "gpu", "ha")


@cache
def _rendered(overlay: str) -> tuple[Manifest, ...]:
    with TemporaryDirectory() as name:
        folder = Path(name).resolve()
        k8s = os.path.relpath(ROOT / "k8s", folder)
        written = {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "namespace": "embeddings",
            "resources": [f"{k8s}/overlays/{overlay}"],
            "components": [f"{k8s}/components/logs"],
        }
        (folder / "kustomization.yaml").write_text(json.dumps(written))
        return render_folder(folder)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_ray_node_has_it(overlay: str) -> None:
    manifests = _rendered(overlay)
    check(manifests)
    [service] = [each for each in manifests if each["kind"] == "RayService"]
    [made] = [each for each in manifests if each["metadata"]["name"].startswith("fluent-bit-")]
    spec = service["spec"]["rayClusterConfig"]
    groups = [spec["headGroupSpec"], *spec["workerGroupSpecs"]]
    assert len(groups) == 1 + len(rayservice(overlay)["spec"]["rayClusterConfig"]["workerGroupSpecs"])
    for group in groups:
        pod = group["template"]["spec"]
        [sidecar] = pod["initContainers"]
        ray = pod["containers"][0]
        # Ends after Ray, and may do no more than it.
        assert sidecar["restartPolicy"] == "Always"
        assert sidecar["securityContext"] == ray["securityContext"]
        mounts = {each["mountPath"]: each for each in sidecar["volumeMounts"]}
        assert all(each["readOnly"] for each in mounts.values())
        assert mounts["/tmp"]["name"] == next(m["name"] for m in ray["volumeMounts"] if m["mountPath"] == "/tmp")  # noqa: S108
        volumes = {each["name"]: each for each in pod["volumes"]}
        # The name with the content's hash, which kustomize writes where it is told to.
        assert volumes[mounts["/etc/fluent-bit"]["name"]]["configMap"]["name"] == made["metadata"]["name"]
        kubernetes_validate.validate(
            {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": pod}, KUBERNETES, strict=True
        )


def test_it_reads_what_ray_and_serve_write() -> None:
    config = yaml.safe_load((ROOT / "k8s/components/logs/fluent-bit.yaml").read_text())
    [tail], [out] = config["pipeline"]["inputs"], config["pipeline"]["outputs"]
    patterns = tail["path"].split(",")
    logs = "/tmp/ray/session_latest/logs"  # noqa: S108
    for name in ("raylet.out", "gcs_server.err", "dashboard.log", "serve/replica_embedding-service_Ingress_x.log"):
        assert any(fnmatch.fnmatch(f"{logs}/{name}", pattern) for pattern in patterns), name
    assert not any(fnmatch.fnmatch(f"{logs}/raylet.out.1", pattern) for pattern in patterns)
    assert (out["name"], out["format"]) == ("stdout", "json_lines")
