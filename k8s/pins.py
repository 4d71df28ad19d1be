"""Looks up what an image is built from, where there is a network, and prints the arguments of `docker build`.

    docker build --target cpu -t TAG $(python k8s/pins.py openai/clip-vit-base-patch32) .

The base image's digest comes from docker, the models' commits from the hub, with this machine's access to each.
"""

import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

DOCKERFILE = Path(__file__).parents[1] / "Dockerfile"
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


if __name__ == "__main__":
    print(shlex.join(arguments(base_image(DOCKERFILE.read_text()), sys.argv[1:], digest_of, commit_of)))
