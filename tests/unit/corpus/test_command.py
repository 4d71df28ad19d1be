"""The command's own doings, without Ray."""

import os
import threading

import pytest

from app.__main__ import main
from app.cli.embed_corpus import bounded_start


def test_a_start_without_end_is_ended_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    left: list[int] = []
    over = threading.Event()

    def leave(code: int) -> None:
        left.append(code)
        over.set()

    with bounded_start(0, leave):
        assert over.wait(10)
    assert left == [1]
    assert "Ray did not start within 0 s. Run the same command again" in capsys.readouterr().err


def test_a_start_in_time_is_left_alone() -> None:
    left: list[int] = []
    with bounded_start(60, left.append) as started:
        started()
        [timer] = [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)]
        timer.join(10)
        assert not timer.is_alive()
    assert left == []


def test_a_child_whose_parent_is_gone_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.system.processes.die_with_parent", lambda: None)
    assert main(["embed-corpus", "nothing.txt", "--out", "nowhere", "--here", str(os.getpid())]) == 1
