"""The builder, as Serve calls it. The imports of Ray warn, and warnings are errors here."""

import warnings

import pytest

from app.config.args import AccessArgs, ModelArgs
from app.config.settings import AppArgs
from tests.support.keys import line

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from app.main import build

# Serve's own warning about a setting that it still reads.
pytestmark = pytest.mark.filterwarnings("ignore:The `metrics_interval_s`:DeprecationWarning")


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AUTH", "API_KEYS_FILE", "TEXT_MODEL", "IMAGE_MODEL"):
        monkeypatch.delenv(name, raising=False)


def test_nothing_is_built_that_asks_for_keys_and_has_none() -> None:
    with pytest.raises(ValueError, match="no API key"):
        build(AppArgs(auth="required"))
    keys = AccessArgs(keys=(line("s"),))
    assert build(AppArgs(auth="required", access=keys)) is not None
    assert build(AppArgs()) is not None


def test_the_environment_can_ask_for_keys_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTH", "required")
    with pytest.raises(ValueError, match="no API key"):
        build(AppArgs())


def test_two_paths_that_show_as_one_name_are_refused() -> None:
    models = tuple(ModelArgs(id=f"/{folder}/mini") for folder in ("a", "b"))
    with pytest.raises(ValueError, match="same name: mini, mini"):
        build(AppArgs(text_models=models, image_models=()))
