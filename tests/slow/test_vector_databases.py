"""Blocks of the documents that need a package of others, each in an environment of its own."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from loadtests.running import ROOT, RunningService
from tests.support.documents import Block, blocks

BLOCKS = [block for block in blocks() if block.packages]


def run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_there_are_those_of_every_database() -> None:
    named = {package for block in BLOCKS for package in block.packages}
    assert {"faiss-cpu", "qdrant-client", "pgvector", "chromadb", "lancedb", "milvus-lite"} <= named


def test_each_is_short() -> None:
    assert [block.name for block in BLOCKS if block.code.count("\n") > 30] == []


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.name)
def test_it_prints_what_the_document_shows(block: Block, service: RunningService, tmp_path: Path) -> None:
    run(sys.executable, "-m", "venv", tmp_path / "alone", cwd=tmp_path)
    python = tmp_path / "alone" / "bin" / "python"
    # A copy: building leaves files beside the sources.
    client = shutil.copytree(ROOT / "clients/python", tmp_path / "client", ignore=shutil.ignore_patterns("*.egg-info"))
    constraints = ("--constraint", ROOT / "constraints.txt")
    run(python, "-I", "-m", "pip", "install", "--quiet", *constraints, client, *block.packages, cwd=tmp_path)
    folder = tmp_path / "folder"  # what a database writes lies here
    folder.mkdir()
    block.check(run(*block.command(service.port, python), cwd=folder))
