"""Workers of `embed-corpus` share its work; parents, drivers and workers are killed, and the next run takes up what
they left; what a Ray can't do is told in a line. More of that: tests/cluster."""

import json
import signal
import subprocess
import sys
import threading
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
from tests.support.corpus_runs import END_S, PART, ROWS, refused, running, started, write_source


def test_whatever_is_killed_no_row_is_lost_and_none_comes_twice(tmp_path: Path) -> None:
    """Two runs into one folder: the first's parent is killed, and a worker of the second, which ends well."""
    source, out = write_source(tmp_path), tmp_path / "out"
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


def test_a_killed_driver_leaves_no_process_and_the_next_run_embeds_the_rest(tmp_path: Path) -> None:
    source, out = write_source(tmp_path), tmp_path / "out"
    with running(source, out) as first:
        [driver] = wait_for(lambda: first.named("--here"), what="the driver")
        started(first)
        driver.send_signal(signal.SIGKILL)
        reader = threading.Thread(target=first.process.communicate, daemon=True)
        reader.start()
        wait_for(lambda: not first.processes(), what="the end of every process")
        reader.join(30)  # before its pipes are closed
    before = first.parts()
    assert 2 <= len(before) < ROWS // PART - 4
    with running(source, out) as second:
        summary = second.end(resumed=True)
    assert {path: mtime for path, mtime in second.parts().items() if path in before} == before
    assert [row["id"] for row in written(out)] == list(range(ROWS))
    assert (summary["rows"], summary["rejects"], summary["parts"]) == (ROWS, 1, ROWS // PART + 1)
    assert (summary["embedded"], summary["parts_written"]) == (
        ROWS - PART * len(before),
        ROWS // PART + 1 - len(before),
    )
    assert not list(out.glob("_tmp-*"))


@pytest.mark.parametrize(
    ("flags", "status", "words"),
    [
        (("--dimensions", "385"), 2, "makes vectors of 384 dimensions, not 385"),
        (("--num-gpus", "64"), 2, "No node has"),
        (("--model", "nobody/none"), 1, "No weights for model 'nobody/none'"),
    ],
)
def test_what_cant_be_done_is_told_in_a_line(flags: tuple[str, ...], status: int, words: str, tmp_path: Path) -> None:
    with running(write_source(tmp_path), tmp_path / "out", *flags) as run:
        refused(run, status, words)


def test_strict_ends_with_the_reason(tmp_path: Path) -> None:
    source = write_source(tmp_path)
    source.write_text("{bad\n" + source.read_text())
    with running(source, tmp_path / "out", "--strict") as run:
        _, err = run.process.communicate(timeout=END_S)
        wait_for(lambda: not run.processes(), what="the end of every process")
    assert run.process.returncode == 1
    assert "in.jsonl, row 1: not valid JSON" in err
    assert "Traceback" not in err


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
