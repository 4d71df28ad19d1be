"""Files of the repository on the documentation's site."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from mkdocs.config import load_config
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import Files, get_files

from docs import hooks

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def config() -> MkDocsConfig:
    return load_config(str(ROOT / "mkdocs.yml"))


@pytest.fixture(scope="module")
def files(config: MkDocsConfig) -> Files:
    return config.plugins.on_files(get_files(config), config=config)


def shown(page: str, text: str, config: MkDocsConfig, files: Files) -> str:
    place: Any = SimpleNamespace(file=SimpleNamespace(src_uri=page))
    return hooks.on_page_markdown(text, place, config, files)


def test_linked_files_are_on_the_site_and_what_these_link_to(files: Files) -> None:
    assert files.get_file_from_path("repository/SECURITY.md") is not None
    assert files.get_file_from_path("repository/serve_config.yaml") is not None
    assert files.get_file_from_path("repository/Makefile") is None


@pytest.mark.parametrize(
    ("page", "link", "target"),
    [
        ("operate/keys.md", "../../SECURITY.md#keys", "../repository/SECURITY.md#keys"),
        ("operate/keys.md", "deploy.md", "deploy.md"),
        ("operate/keys.md", "../page-dark.png", "../page-dark.png"),
        ("scaling.md", "../loadtests/capacity.py", "repository/loadtests/capacity.py"),
        ("repository/SECURITY.md", "docs/operate/deploy.md#plain-ray-serve", "../operate/deploy.md#plain-ray-serve"),
        ("repository/loadtests/README.md", "../docs/load-latency.png", "../../load-latency.png"),
        ("operate/keys.md", "../../no-such.md", "../../no-such.md"),
        ("operate/keys.md", "https://a.example/b.md", "https://a.example/b.md"),
    ],
)
def test_a_link_leads_to_the_same_file(page: str, link: str, target: str, config: MkDocsConfig, files: Files) -> None:
    assert shown(page, f"See [it]({link}).", config, files) == f"See [it]({target})."


def test_the_mark_of_the_tests_is_not_shown(config: MkDocsConfig, files: Files) -> None:
    text = "```sh run\nls\n```\n```json\n{}\n```\n```python run-with a-package\n```\n"
    assert shown("index.md", text, config, files) == text.replace(" run-with a-package", "").replace(" run", "")
