"""Looks up what an image is built from, where there is a network.

    python k8s/pins.py --hashes                    # writes hashes.txt, which the build then holds every package to
    python k8s/pins.py openai/clip-vit-base-patch32 | xargs docker build --target cpu -t TAG .    # prints arguments

The base image's digest comes from docker, the models' commits from the hub, each with this machine's access. The hashes
come from the index that pip uses, for this Python on this kind of machine: k8s/README.md runs it in the base image.
"""

import json
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
DOCKERFILE, LOCK, HASHES = ROOT / "Dockerfile", ROOT / "constraints.txt", ROOT / "hashes.txt"
OURS = "embeddings-client"  # code of this repository, which no index is asked for
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
COMMIT = re.compile(r"[0-9a-f]{40}")


def base_image(dockerfile: str) -> str:
    """The default of PYTHON_IMAGE, without a digest."""
    [image] = re.findall(r"^ARG PYTHON_IMAGE=([^@\s]+)", dockerfile, flags=re.MULTILINE)
    return str(image)


def digest_of(image: str) -> str:
    command = ["docker", "buildx", "imagetools", "inspect", image, "--format", "{{.Manifest.Digest}}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def commit_of(model: str) -> str:
    from huggingface_hub import HfApi

    return HfApi().model_info(model).sha or ""


def arguments(
    image: str, models: Iterable[str], digest: Callable[[str], str], commit: Callable[[str], str]
) -> list[str]:
    """Build arguments. A model with an `@` is pinned already.

    Raises:
        ValueError: What was answered is no digest, or no commit.
    """
    found = digest(image)
    if not DIGEST.fullmatch(found):
        raise ValueError(f"{image}: {found!r} is no digest")
    pinned: list[str] = []
    for model in models:
        name, _, at = model.partition("@")
        at = at or commit(name)
        if not COMMIT.fullmatch(at):
            raise ValueError(f"{name}: {at!r} is no commit")
        pinned.append(f"{name}@{at}")
    return ["--build-arg", f"PYTHON_IMAGE={image}@{found}", "--build-arg", f"MODELS={' '.join(pinned)}"]


def resolved() -> Any:
    """pip's report on what the image would install: the packages of the lock, and torch's, which installs nothing."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    client = tomllib.loads((ROOT / "clients/python/pyproject.toml").read_text())["project"]
    names = [name for name in (*project["dependencies"], *client["dependencies"]) if name != OURS]
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--dry-run",
        "--ignore-installed",
        "--only-binary",
        ":all:",
        "--quiet",
    ]
    done = subprocess.run(
        [*pip, "--report", "-", "--constraint", str(LOCK), *names], stdout=subprocess.PIPE, check=True
    )
    return json.loads(done.stdout)


def hashes(report: Any, lock: str) -> list[str]:
    """A line of pip's requirements for each package, by name.

    Raises:
        ValueError: A file has no hash, or another version than the lock.
    """
    locked = dict(line.split("==") for line in lock.splitlines() if "==" in line and not line.startswith("#"))
    locked = {name.lower().replace("_", "-"): version for name, version in locked.items()}
    lines: list[str] = []
    for item in report["install"]:
        name, version = (
            item["metadata"]["name"].lower().replace("_", "-").replace(".", "-"),
            item["metadata"]["version"],
        )
        found = item["download_info"].get("archive_info", {}).get("hashes", {}).get("sha256", "")
        if not re.fullmatch(r"[0-9a-f]{64}", found):
            raise ValueError(f"{name}: {found!r} is no hash")
        if locked.get(name, version) != version:
            raise ValueError(f"{name}: {version}, and {locked[name]} in the lock")
        lines.append(f"{name}=={version} --hash=sha256:{found}")
    return sorted(lines)


if __name__ == "__main__":
    if sys.argv[1:] == ["--hashes"]:
        HASHES.write_text("\n".join(hashes(resolved(), LOCK.read_text())) + "\n")
        sys.exit()
    print(shlex.join(arguments(base_image(DOCKERFILE.read_text()), sys.argv[1:], digest_of, commit_of)))
