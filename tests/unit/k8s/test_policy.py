"""What a platform engineer would ask of the manifests before merging them: keys, flags, files, namespaces."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.auth import key_file
from app.config.settings import AppArgs
from tests.unit.k8s.manifests import OVERLAYS, ROOT, flags, groups, of_kind, render, render_component, serve_config

KEYS = "/etc/embeddings"


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


def test_weights_on_a_volume_are_written_by_the_job_only() -> None:
    found = {each["kind"]: each for each in render_component("models-volume")}
    pod = found["Job"]["spec"]["template"]["spec"]
    [container] = pod["containers"]
    assert {m["mountPath"]: m.get("readOnly", False) for m in container["volumeMounts"]}["/opt/models"] is False
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert pod["automountServiceAccountToken"] is False


@pytest.mark.parametrize(
    ("listed", "pulled", "code"),
    [
        ("a/one\nb/two\n", ["a/one", "b/two"], 0),
        ("a/one\n\n# another\nb/two", ["a/one", "b/two"], 0),  # the last line is one without its end too
        ("a/one\ngone\nb/two\n", ["a/one", "gone"], 3),
    ],
)
def test_the_job_fetches_every_line(listed: str, pulled: list[str], code: int, tmp_path: Path) -> None:
    [job] = [each for each in render_component("models-volume") if each["kind"] == "Job"]
    [container] = job["spec"]["template"]["spec"]["containers"]
    (tmp_path / "models.txt").write_text(listed)
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho "$*"; test "$4" != gone || exit 3\n')
    python.chmod(0o755)
    [script] = [each.replace("/models/models.txt", str(tmp_path / "models.txt")) for each in container["args"]]
    path = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    done = subprocess.run([*container["command"], script], capture_output=True, text=True, check=False, env=path)
    assert (done.stdout.splitlines(), done.returncode) == ([f"-m app pull {name}" for name in pulled], code)


def test_no_secret_is_in_the_repository() -> None:
    assert all(not of_kind(overlay, "Secret") for overlay in OVERLAYS)


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
