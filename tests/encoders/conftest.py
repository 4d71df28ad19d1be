import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.config.args import DEFAULT_TEXT_MODEL, ModelArgs
from app.encoders import load_text_model
from app.types import TextModel


@pytest.fixture(scope="session")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for converted models that starts empty and that all tests share."""
    return tmp_path_factory.mktemp("converted")


@pytest.fixture(scope="session")
def minilm_args(converted: Path) -> ModelArgs:
    return ModelArgs(id=DEFAULT_TEXT_MODEL, cache_dir=str(converted))


@pytest.fixture(scope="session", params=["openvino", "torch"])
def minilm(request: pytest.FixtureRequest, minilm_args: ModelArgs) -> TextModel:
    """The real MiniLM, on each backend as the service would choose its precision."""
    args = minilm_args.model_copy(update={"backend": request.param, "device": "cpu"})
    return load_text_model(args, threads=2, offline=True)


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
