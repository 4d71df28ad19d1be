"""The command on a real Ray: killed workers, killed parents, and nothing left behind."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from app.config.args import DEFAULT_TEXT_MODEL, ModelArgs
from app.corpus.known_vectors import matrix
from app.encoders.text import load_text_model
from app.vectors.similarity import normalize
from loadtests.running import ROOT, clean_environment, wait_for
from tests.support.corpus_fakes import written
from tests.support.corpus_runs import PART, ROWS, refused, running, started, write_source


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_source(tmp_path)


def test_whatever_is_killed_no_row_is_lost_and_none_comes_twice(source: Path, tmp_path: Path) -> None:
    """Two runs into one folder: the first's parent is killed, and a worker of the second, which ends well. A killed
    driver: tests/slow."""
    out = tmp_path / "out"
    with running(source, out) as first:
        started(first)
        first.process.kill()
        first.process.communicate()
        # Right away: what the first left is still being swept, or writes its last part.
        with running(source, out, "--concurrency", "2") as second:
            workers = wait_for(lambda: second.workers(2), what="two workers")
            started(second, len(first.parts()) + 2)
            workers[0].send_signal(signal.SIGKILL)
            before = second.parts()
            assert 4 <= len(before) < ROWS // PART - 4
            summary = second.end(resumed=True)
        assert {path: mtime for path, mtime in second.parts().items() if path in before} == before
        wait_for(lambda: not first.processes(), what="the end of every process of the first")
    assert [row["id"] for row in written(out)] == list(range(ROWS))
    assert (summary["rows"], summary["rejects"], summary["parts"]) == (ROWS, 1, ROWS // PART + 1)
    assert 0 < summary["embedded"] <= ROWS - 2 * PART
    assert not list(out.glob("_tmp-*"))
    # As the service's encoder makes them, one by one.
    table = pq.read_table(out).slice(0, 50)
    model = load_text_model(ModelArgs(id=DEFAULT_TEXT_MODEL), threads=1, offline=True)
    direct = normalize(np.concatenate([model.run([t.ids]) for t in model.tokenize(table["text"].to_pylist())]))
    assert np.vecdot(normalize(matrix(table)), direct).min() >= 0.99999


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
