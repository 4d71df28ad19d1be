import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.encoders import pretrained
from app.encoders.backends import tokenizer_export


@pytest.fixture
def empty_hub_cache(tmp_path: Path) -> Iterator[Path]:
    """A hub cache of one's own."""
    before = os.environ.get("HF_HUB_CACHE")
    os.environ["HF_HUB_CACHE"] = str(tmp_path / "hub")
    yield tmp_path / "hub"
    if before is None:
        del os.environ["HF_HUB_CACHE"]
    else:
        os.environ["HF_HUB_CACHE"] = before


@pytest.fixture
def reads_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """A child process for each directory would take minutes."""
    monkeypatch.setattr(pretrained, "make", tokenizer_export.write)
