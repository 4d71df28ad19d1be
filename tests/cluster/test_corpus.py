"""The command: what is refused before a Ray starts. Its work, and what is killed meanwhile: tests/slow."""

from pathlib import Path

import pytest

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
