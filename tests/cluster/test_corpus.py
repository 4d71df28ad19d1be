"""The command on a real Ray: what is refused before anything starts, and workers. What is killed: tests/slow."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from loadtests.running import ROOT, clean_environment
from tests.support.corpus_runs import refused, running, write_source


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_source(tmp_path)


@pytest.mark.parametrize(
    ("flags", "status", "words"),
    [
        (("--address", "127.0.0.1:1"), 1, "No Ray can be reached at 127.0.0.1:1"),
        (("--warm-cache", "http://127.0.0.1:1"), 1, "http://127.0.0.1:1 can't be reached"),
        (("--warm-cache", "http://127.0.0.1:1", "--dtype", "int8"), 2, "full float32 vectors"),
    ],
)
def test_before_anything_starts(flags: tuple[str, ...], status: int, words: str, source: Path, tmp_path: Path) -> None:
    with running(source, tmp_path / "out", *flags) as run:
        refused(run, status, words)
    assert not (tmp_path / "out").exists()


def test_workers_run_at_once_and_share_evenly() -> None:
    """With a stand-in encoder that sleeps: its first batch waits until as many workers are there as were asked for."""
    command = [
        sys.executable,
        "-m",
        "loadtests.bench_corpus_workers",
        "--rows",
        "640",
        "--part-rows",
        "10",
        "--workers",
        "4",
    ]
    done = subprocess.run(command, env=clean_environment(), cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    [run] = json.loads(done.stdout)["runs"]
    assert (run["workers"], run["most_at_once"], len(run["rows_of_each"])) == (4, 4, 4)
    assert (run["batches"], sum(run["rows_of_each"])) == (64, 640)
    assert min(run["rows_of_each"]) >= 640 // 4 // 4
