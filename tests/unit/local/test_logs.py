from pathlib import Path

import pytest

from app.local import logs


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(logs, "log_folder", lambda port, env: tmp_path if port == 3000 else None)
    (tmp_path / "serve").mkdir()
    return tmp_path


def test_the_last_whole_lines_of_every_file_are_shown(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "LAST_LINES", 2)
    (folder / "serve" / "replica_x.log").write_bytes(b"one\ntwo\nthr\xffee\nhalf")
    said: list[str] = []
    assert logs.show(3000, False, said.append) == 0
    assert said == [f"{folder}:", "replica_x: two", "replica_x: thr\ufffdee"]


def test_no_logs_are_said_to_be_none(folder: Path) -> None:
    said: list[str] = []
    assert logs.show(3001, False, said.append) == 1
    assert said == ["There are no logs of a service at port 3001."]


def test_following_shows_what_comes_and_each_line_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = folder / "serve" / "a.log"
    file.write_text("one\n")
    said: list[str] = []

    def sleep(seconds: float) -> None:
        if said[-1] == "a: three":
            raise KeyboardInterrupt
        with file.open("a") as log:
            log.write("two\nthree\n")

    monkeypatch.setattr(logs.time, "sleep", sleep)  # type: ignore[attr-defined]
    assert logs.show(3000, True, said.append) == 0
    assert said == [f"{folder}:", "a: one", "a: two", "a: three"]
