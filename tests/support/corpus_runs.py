"""`embed-corpus` as a command, killed or not, and a corpus for it."""

import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from loadtests.running import ROOT, clean_environment, folder, wait_for

WORDS = ["river", "bends", "where", "old", "stones", "keep", "quiet", "records", "of", "winter", "floods"]
# So many parts that a quick machine is still at work when it is interrupted.
ROWS, PART = 1_500, 50
APP = (sys.executable, "-m", "app", "--config", str(ROOT / "serve_config.yaml"))
END_S = 600.0


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

    def workers(self, count: int) -> list[psutil.Process]:
        """If there are so many."""
        found = self.named("ray::MapWorker(FlatMap(CorpusWorker")
        return found if len(found) == count else []

    def parts(self) -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in self.out.glob("part-*.parquet")}

    def end(self, resumed: bool = False) -> dict[str, Any]:
        """Its summary, after it has ended well and all its processes are gone.

        Args:
            resumed: It may have been told only of what was there already.
        """
        out, err = self.process.communicate(timeout=END_S)
        assert self.process.returncode == 0, err
        wait_for(lambda: not self.processes(), what="the end of every process")
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
    # Small batches: a worker warms up every shape of them before it begins, for seconds of both cores.
    command = [*APP, "embed-corpus", str(source), "--out", str(out), "--part-rows", str(PART), "--batch-size", "8"]
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


def write_source(folder: Path) -> Path:
    """Of `ROWS` rows, and one that is no JSON."""
    rng = random.Random(5)
    rows = [{"id": i, "text": f"{i} " + " ".join(rng.choices(WORDS, k=rng.randint(20, 60)))} for i in range(ROWS)]
    (folder / "in.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n{bad\n")
    return folder / "in.jsonl"


def started(run: Run, parts: int = 2) -> None:
    """Until so many parts are there, and few more, on a machine that makes one in a hundredth of a second as well."""
    give_up, pause = time.monotonic() + END_S, threading.Event()
    while len(run.parts()) < parts and time.monotonic() < give_up and run.process.poll() is None:
        pause.wait(0.005)
    assert run.process.poll() is None, run.process.communicate()
    assert len(run.parts()) >= parts


def refused(run: Run, status: int, words: str) -> None:
    """It ends with this code and one line."""
    out, err = run.process.communicate(timeout=END_S)
    assert (run.process.returncode, out) == (status, ""), err
    assert words in err
    assert len(err.splitlines()) == 1
