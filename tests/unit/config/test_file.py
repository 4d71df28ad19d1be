import re
from pathlib import Path

import pytest

from app.config.settings import AppArgs

ROOT = Path(__file__).parents[3]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "serve_config.yaml"


def test_the_args_of_the_one_application(config: Path) -> None:
    config.write_text("applications:\n  - name: x\n    args:\n      text_models: [a/b]\n      cache: {ttl_ms: 5}\n")
    args = AppArgs.from_file(config)
    assert (args.text_models[0].id, args.cache.ttl_ms, args.cache.max_size) == ("a/b", 5, 10_000)


@pytest.mark.parametrize(
    "text", ["applications: [{name: x}]", "applications: [{args: }]", "applications: [{args: {}}]"]
)
def test_no_args_are_the_defaults(config: Path, text: str) -> None:
    config.write_text(text)
    assert AppArgs.from_file(config) == AppArgs()


@pytest.mark.parametrize(
    "text", ["", "[]", "5", "words", "applications:", "applications: []", "applications: [5]", "app: []"]
)
def test_what_is_no_serve_config_is_named(config: Path, text: str) -> None:
    config.write_text(text)
    with pytest.raises(ValueError, match=f"^{re.escape(str(config))} is not a Serve config file"):
        AppArgs.from_file(config)


def test_broken_yaml_is_named_with_its_place(config: Path) -> None:
    config.write_text("applications: [\n")
    with pytest.raises(ValueError, match=rf"^{re.escape(str(config))} is not valid YAML: (.|\n)*line 2"):
        AppArgs.from_file(config)


def test_unknown_and_wrong_args_are_named(config: Path) -> None:
    config.write_text("applications:\n  - args:\n      cache:\n        ttl: 5\n      limits: {texts: none}\n")
    with pytest.raises(ValueError, match="not a setting") as error:
        AppArgs.from_file(config)
    assert str(error.value).splitlines() == [
        f"{config}, line 4: `cache.ttl` is not a setting. Did you mean `ttl_ms`?",
        f"{config}, line 5: `limits.texts` must be a whole number, not 'none'",
    ]


def test_yaml_makes_no_objects(config: Path) -> None:
    config.write_text("applications: !!python/object/apply:os.getcwd []")
    with pytest.raises(ValueError, match="is not valid YAML"):
        AppArgs.from_file(config)


def test_a_missing_file_is_an_os_error(config: Path) -> None:
    with pytest.raises(FileNotFoundError):
        AppArgs.from_file(config)


def test_the_file_we_ship_is_valid() -> None:
    assert AppArgs.from_file(ROOT / "serve_config.yaml").text_models == AppArgs().text_models
