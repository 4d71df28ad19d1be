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

from app.corpus_reuse import matrix
from app.encoders import load_text_model
from app.settings import DEFAULT_TEXT_MODEL, ModelArgs
from app.similarity import normalize
from tests.cluster.running import ROOT, clean_environment, wait_for
from tests.corpus.conftest import written

pytestmark = pytest.mark.cluster

WORDS = ["river", "bends", "where", "old", "stones", "keep", "quiet", "records", "of", "winter", "floods"]
ROWS, PART = 1_200, 100
END_S = 60.0


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

    def end(self) -> dict[str, Any]:
        """Its summary, after it has ended well and all its processes are gone."""
        out, err = self.process.communicate(timeout=END_S)
        assert self.process.returncode == 0, err
        wait_for(lambda: not self.processes(), 10, "the end of every process")
        assert "rows/s" in err
        assert "ETA" in err
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
    env = clean_environment(TEST_CORPUS=marker, HF_HUB_OFFLINE="1")
    command = [sys.executable, "-m", "app", "embed-corpus", str(source), "--out", str(out), "--part-rows", str(PART)]
    process = subprocess.Popen(
        [*command, *flags],
        env=env,
        cwd=ROOT,
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


def test_a_killed_worker_costs_no_row_and_none_comes_twice(source: Path, tmp_path: Path) -> None:
    with running(source, tmp_path / "out", "--concurrency", "2") as run:
        started(run)
        workers = run.named("ray::MapWorker(FlatMap(CorpusWorker")
        assert len(workers) == 2
        workers[0].send_signal(signal.SIGKILL)
        summary = run.end()
    assert [row["id"] for row in written(tmp_path / "out")] == list(range(ROWS))
    assert (summary["rows"], summary["rejects"], summary["parts"]) == (ROWS, 1, ROWS // PART + 1)
    # As the service's encoder makes them, one by one.
    table = pq.read_table(tmp_path / "out").slice(0, 50)
    model = load_text_model(ModelArgs(id=DEFAULT_TEXT_MODEL), threads=1, offline=True)
    direct = normalize(np.concatenate([model.run([t.ids]) for t in model.tokenize(table["text"].to_pylist())]))
    assert np.vecdot(normalize(matrix(table)), direct).min() >= 0.99999


def test_a_killed_driver_leaves_nothing_running_and_the_next_run_goes_on(source: Path, tmp_path: Path) -> None:
    with running(source, tmp_path / "out") as run:
        started(run)
        [driver] = run.named("--here")
        driver.send_signal(signal.SIGKILL)
        threading.Thread(target=run.process.communicate, daemon=True).start()
        wait_for(lambda: not run.processes(), 30, "the end of every process")
        before = run.parts()
    assert 2 <= len(before) < ROWS // PART
    with running(source, tmp_path / "out") as run:
        summary = run.end()
        assert {path: mtime for path, mtime in run.parts().items() if path in before} == before
    assert [row["id"] for row in written(tmp_path / "out")] == list(range(ROWS))
    assert (summary["rows"], summary["embedded"]) == (ROWS, ROWS - PART * len(before))
    assert summary["parts_written"] == ROWS // PART + 1 - len(before)


def test_strict_ends_with_the_reason(source: Path, tmp_path: Path) -> None:
    source.write_text("{bad\n" + source.read_text())
    with running(source, tmp_path / "out", "--strict") as run:
        _, err = run.process.communicate(timeout=END_S)
        wait_for(lambda: not run.processes(), 10, "the end of every process")
    assert run.process.returncode == 1
    assert "in.jsonl, row 1: not valid JSON" in err
    assert "Traceback" not in err
