import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command import LINES, World
from tests.support.serving import served
from tests.support.talking import FakeService


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[World]:
    monkeypatch.chdir(tmp_path)
    before = signal.getsignal(signal.SIGTERM)
    service = FakeService()
    with served(service) as url:
        yield World(service, url, capsys)
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    (tmp_path / "in.txt").write_text("\n".join(LINES))
    return tmp_path / "in.txt"
