"""README's commands as a newcomer pastes them: in a fresh clone, a fresh environment and an empty home, in order."""

import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from loadtests.running import ROOT, RunningService, clean_environment, folder, running
from tests.support.documents import blocks
from tests.support.needs import missing

BLOCKS = [block for block in blocks() if block.name.startswith("README.md:")]
# How this machine reaches its package indexes, and what it has of theirs.
NETWORK = re.compile(r"(PIP|UV)_\w+|SSL_CERT\w*|\w+_CA_\w+|\w+_PROXY|\w+_proxy")


def run(*command: str | Path, cwd: Path, env: dict[str, str]) -> str:
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=1500, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def clone() -> Iterator[Path]:
    """What is committed, and nothing else. It is gigabytes, so it goes at once."""
    if needed := [tool for tool in ("git", "make", "bash", "curl") if shutil.which(tool) is None]:
        missing(f"needs {needed[0]}")
    with tempfile.TemporaryDirectory() as place:
        subprocess.run(["git", "clone", "--quiet", ROOT, Path(place) / "clone"], check=True)
        yield Path(place) / "clone"


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    known = {name: value for name, value in os.environ.items() if NETWORK.fullmatch(name)}
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser())
    known = {"PIP_CACHE_DIR": str(caches / "pip"), "UV_CACHE_DIR": str(caches / "uv")} | known
    own = clean_environment(HOME=str(folder("newcomer")), **known)
    return {name: value for name, value in own.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}


@pytest.fixture(scope="module")
def service(clone: Path, environment: dict[str, str]) -> Iterator[RunningService]:
    run("make", ".venv/.serve", cwd=clone, env=environment)
    variables: dict[str, Any] = environment | {"PYTHONPATH": ""}
    with running(clone, ("make", "-C", str(clone), "serve"), **variables) as service:
        yield service
        os.killpg(service.process.pid, signal.SIGINT)  # Ctrl-C
        service.process.wait(120)


def test_what_readme_shows_runs_in_order(clone: Path, environment: dict[str, str], service: RunningService) -> None:
    python = clone / ".venv/bin/python"
    assert len(BLOCKS) == 4
    for block in BLOCKS:
        for needed in re.findall(r"# pip install (.+)", block.code):
            constraints = ("--constraint", clone / "constraints.txt")
            run(python, "-m", "pip", "install", "--quiet", *constraints, *needed.split(), cwd=clone, env=environment)
        block.check(run(*block.command(service.port, python), cwd=clone, env=environment))


def test_nothing_of_the_tests_was_installed(clone: Path, environment: dict[str, str], service: RunningService) -> None:
    listed = run(clone / ".venv/bin/python", "-m", "pip", "list", "--format", "freeze", cwd=clone, env=environment)
    assert {"pytest", "mypy", "mkdocs"} & {line.partition("==")[0] for line in listed.splitlines()} == set()
    assert run("git", "status", "--porcelain", cwd=clone, env=environment) == ""
