import threading
from pathlib import Path

import pytest

from app.system.atomic_file import replacing


def test_the_file_is_there_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    path.write_text("old")
    with replacing(path, "_tmp-") as scratch:
        scratch.write_text("new")
        assert (path.read_text(), scratch.parent, scratch.name.startswith("_tmp-file.json.")) == ("old", tmp_path, True)
    assert path.read_text() == "new"
    assert [file.name for file in tmp_path.iterdir()] == ["file.json"]


def _half_written(path: Path) -> None:
    with replacing(path) as scratch:
        scratch.write_text("half")
        raise ZeroDivisionError


def test_an_error_leaves_what_was_there_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError):
        _half_written(path)
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["file.json"]


def test_an_error_before_anything_was_written(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "file.json"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_two_writers_do_not_write_the_same_file(tmp_path: Path) -> None:
    names: set[str] = set()
    together = threading.Barrier(2)

    def write() -> None:
        with replacing(tmp_path / "file") as scratch:
            names.add(scratch.name)
            scratch.write_text("whole")
            together.wait(30)

    threads = [threading.Thread(target=write) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(names), (tmp_path / "file").read_text()) == (2, "whole")
