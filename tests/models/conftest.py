from pathlib import Path

import pytest

from app.encoders.backends import conversion, openvino_runner


@pytest.fixture(autouse=True)
def _convert_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """The child process is tested with MiniLM; here torch is loaded anyway."""
    monkeypatch.setattr(conversion, "convert", openvino_runner.write)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "converted"
