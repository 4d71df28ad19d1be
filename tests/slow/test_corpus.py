"""A driver of `embed-corpus` is killed, and the next run takes up what it left; what a Ray can't do is told in a line.

More of both: tests/cluster.
"""

import signal
import threading
from pathlib import Path

import pytest

from loadtests.running import wait_for
from tests.support.corpus_fakes import written
from tests.support.corpus_runs import PART, ROWS, refused, running, started, write_source


def test_a_killed_driver_leaves_no_process_and_the_next_run_embeds_the_rest(tmp_path: Path) -> None:
    source, out = write_source(tmp_path), tmp_path / "out"
    with running(source, out) as first:
        started(first)
        [driver] = wait_for(lambda: first.named("--here"), what="the driver")
        driver.send_signal(signal.SIGKILL)
        reader = threading.Thread(target=first.process.communicate, daemon=True)
        reader.start()
        wait_for(lambda: not first.processes(), 60, "the end of every process")
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
    ("flags", "words"),
    [
        (("--dimensions", "385"), "makes vectors of 384 dimensions, not 385"),
        (("--num-gpus", "64"), "No node has"),
    ],
)
def test_what_cant_be_done_is_told_in_a_line(flags: tuple[str, ...], words: str, tmp_path: Path) -> None:
    with running(write_source(tmp_path), tmp_path / "out", *flags) as run:
        refused(run, 2, words)
