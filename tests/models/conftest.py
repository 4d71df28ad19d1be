from fcntl import LOCK_EX, flock
from pathlib import Path

import pytest
import torch

from app.config.args import DEFAULT_TEXT_MODEL, ModelArgs
from app.config.settings import converted_models
from app.encoders import pretrained
from app.encoders.backends import export, openvino_models, tokenizer_export
from app.encoders.backends.openvino_models import WEIGHTS
from app.encoders.text import TextModel, load_text_model


@pytest.fixture(scope="session")
def converted() -> Path:
    """The tests' own folder for converted models, which starts empty: a conversion takes torch, and many seconds."""
    return converted_models()


@pytest.fixture(scope="session")
def minilm_args(converted: Path) -> ModelArgs:
    """Read and converted by child processes, as a service does it; by one of several test processes."""
    args = ModelArgs(id=DEFAULT_TEXT_MODEL, cache_dir=str(converted))
    converted.mkdir(parents=True, exist_ok=True)
    with (converted / "tests.lock").open("w") as file:
        flock(file, LOCK_EX)
        load_text_model(args, threads=2, offline=True)
    return args


@pytest.fixture(autouse=True)
def _same_weights_in_any_order() -> None:
    """Of layers that a test leaves to chance."""
    torch.manual_seed(11)


@pytest.fixture(autouse=True)
def _converts_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """A child process would load torch and transformers for each tiny model; here they are loaded anyway."""
    monkeypatch.setattr(openvino_models, "convert", export.write)
    monkeypatch.setattr(pretrained, "make", tokenizer_export.write)


@pytest.fixture
def minilm_weights(converted: Path, minilm_args: ModelArgs) -> Path:
    """The file of its conversion, which is the largest there."""
    load_text_model(minilm_args, threads=2, offline=True)
    return max(converted.glob(f"text-*/{WEIGHTS}"), key=lambda file: file.stat().st_size)


@pytest.fixture(scope="session", params=["openvino", "torch"])
def minilm(request: pytest.FixtureRequest, minilm_args: ModelArgs) -> TextModel:
    """The real MiniLM, on each backend as the service would choose its precision."""
    args = minilm_args.model_copy(update={"backend": request.param, "device": "cpu"})
    return load_text_model(args, threads=2, offline=True)
