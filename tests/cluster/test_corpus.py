"""The command on a real Ray: killed workers, killed drivers, and nothing left behind."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow.parquet as pq
import pytest

from app.config.args import DEFAULT_TEXT_MODEL, ModelArgs
from app.corpus.known_vectors import matrix
from app.encoders.text import load_text_model
from app.vectors.similarity import normalize
from loadtests.running import ROOT, clean_environment, folder, wait_for
from tests.support.corpus_fakes import written

WORDS = ["river", "bends", "where", "old", "stones", "keep", "quiet", "records", "of", "winter", "floods"]
# So many that a quick machine is still at work when it is interrupted.
ROWS, PART = 3_000, 100
APP = (sys.executable, "-m", "app", "--config", str(ROOT / "serve_config.yaml"))
END_S = 240.0


@dataclass
class Run:
    """One `embed-corpus`, every process of which carries a mark."""

    process: "subprocess.Popen[str]"
    marker: str
    out: Path

    def processes(self) -> list[psutil.Process]:
        return [process for process in psutil.process_iter() if self._is_mine(process)]

    def named(self, words: str) -> list[psutil.Process]:
        return [process for process in self.processes() if words in " ".join(process.cmdline())]

    def parts(self) -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in self.out.glob("part-*.parquet")}

    def end(self, resumed: bool = False) -> dict[str, Any]:
        """Its summary, after it has ended well and all its processes are gone.

        Args:
            resumed: It may have been told only of what was there already.
        """
        out, err = self.process.communicate(timeout=END_S)
        assert self.process.returncode == 0, err
        wait_for(lambda: not self.processes(), 10, "the end of every process")
        assert "rows/s" in err
        assert "ETA" in err or (resumed and "already there" in err)
        assert "Traceback" not in err
        summary: dict[str, Any] = json.loads(out)
        return summary

    def _is_mine(self, process: psutil.Process) -> bool:
        try:
            mine = process.environ().get("TEST_CORPUS") == self.marker
            return mine and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False


@contextmanager
def running(source: Path, out: Path, *flags: str) -> Iterator[Run]:
    marker = f"{os.getpid()}-{random.random()}"
    env = clean_environment(TEST_CORPUS=marker)
    command = [*APP, "embed-corpus", str(source), "--out", str(out), "--part-rows", str(PART)]
    process = subprocess.Popen(
        [*command, *flags],
        env=env,
        cwd=folder("work"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    run = Run(process, marker, out)
    try:
        yield run
    finally:
        if process.poll() is None:
            process.terminate()
            process.communicate(timeout=30)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    rng = random.Random(5)
    rows = [{"id": i, "text": f"{i} " + " ".join(rng.choices(WORDS, k=rng.randint(20, 60)))} for i in range(ROWS)]
    (tmp_path / "in.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n{bad\n")
    return tmp_path / "in.jsonl"


def started(run: Run, parts: int = 2) -> None:
    wait_for(lambda: len(run.parts()) >= parts or run.process.poll() is not None, END_S, f"{parts} parts")
    assert run.process.poll() is None, run.process.communicate()


def test_whatever_is_killed_no_row_is_lost_and_none_comes_twice(source: Path, tmp_path: Path) -> None:
    """Three runs into one folder: a parent is killed, the next run's driver, and a worker of the one that ends well."""
    out = tmp_path / "out"
    with running(source, out) as first:
        started(first)
        first.process.kill()
        first.process.communicate()
        # Right away: what the first left is still being swept, or writes its last part.
        with running(source, out) as second:
            started(second, len(first.parts()) + 2)
            [driver] = wait_for(lambda: second.named("--here"), what="the second driver")
            driver.send_signal(signal.SIGKILL)
            reader = threading.Thread(target=second.process.communicate, daemon=True)
            reader.start()
            wait_for(lambda: not (first.processes() or second.processes()), 60, "the end of every process")
            reader.join(30)  # before its pipes are closed
    before = second.parts()
    assert 4 <= len(before) < ROWS // PART - 4
    with running(source, out, "--concurrency", "2") as third:
        started(third, len(before) + 2)
        workers = third.named("ray::MapWorker(FlatMap(CorpusWorker")
        assert len(workers) == 2
        workers[0].send_signal(signal.SIGKILL)
        summary = third.end(resumed=True)
        assert {path: mtime for path, mtime in third.parts().items() if path in before} == before
    assert [row["id"] for row in written(out)] == list(range(ROWS))
    assert (summary["rows"], summary["rejects"], summary["parts"]) == (ROWS, 1, ROWS // PART + 1)
    assert (summary["embedded"], summary["parts_written"]) == (
        ROWS - PART * len(before),
        ROWS // PART + 1 - len(before),
    )
    assert not list(out.glob("_tmp-*"))
    # As the service's encoder makes them, one by one.
    table = pq.read_table(out).slice(0, 50)
    model = load_text_model(ModelArgs(id=DEFAULT_TEXT_MODEL), threads=1, offline=True)
    direct = normalize(np.concatenate([model.run([t.ids]) for t in model.tokenize(table["text"].to_pylist())]))
    assert np.vecdot(normalize(matrix(table)), direct).min() >= 0.99999


@pytest.mark.parametrize(
    ("flags", "status", "words"),
    [
        (("--model", "nobody/none"), 1, "No weights for model 'nobody/none'"),
        (("--dimensions", "385"), 2, "makes vectors of 384 dimensions, not 385"),
        (("--num-gpus", "64"), 2, "No node has"),
    ],
)
def test_what_cant_be_done_is_told_in_a_line(
    flags: tuple[str, ...], status: int, words: str, source: Path, tmp_path: Path
) -> None:
    with running(source, tmp_path / "out", *flags) as run:
        out, err = run.process.communicate(timeout=END_S)
    assert (run.process.returncode, out) == (status, ""), err
    assert words in err
    assert len(err.splitlines()) == 1


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
        _, err = run.process.communicate(timeout=END_S)
    assert run.process.returncode == status, err
    assert words in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_workers_run_at_once_and_share_evenly() -> None:
    """With a stand-in encoder that sleeps: its first batch waits until as many workers are there as were asked for."""
    command = [sys.executable, "-m", "loadtests.bench_corpus_workers", "--rows", "640", "--part-rows", "10"]
    done = subprocess.run(command, env=clean_environment(), cwd=ROOT, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr
    runs = json.loads(done.stdout)["runs"]
    assert [(run["workers"], run["most_at_once"], len(run["rows_of_each"])) for run in runs] == [
        (1, 1, 1),
        (2, 2, 2),
        (4, 4, 4),
    ]
    for run in runs:
        assert (run["batches"], sum(run["rows_of_each"])) == (64, 640)
        assert min(run["rows_of_each"]) >= 640 // run["workers"] // 2


def test_strict_ends_with_the_reason(source: Path, tmp_path: Path) -> None:
    source.write_text("{bad\n" + source.read_text())
    with running(source, tmp_path / "out", "--strict") as run:
        _, err = run.process.communicate(timeout=END_S)
        wait_for(lambda: not run.processes(), 10, "the end of every process")
    assert run.process.returncode == 1
    assert "in.jsonl, row 1: not valid JSON" in err
    assert "Traceback" not in err
