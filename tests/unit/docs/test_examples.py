"""The examples run after `make serve` alone, and ask the service that PORT or EMBEDDING_URL names."""

import re
from pathlib import Path

import pytest

from examples.helpers import url_from_command_line

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("argv", "variables", "url"),
    [
        ([], {}, "http://localhost:3000"),
        ([], {"PORT": "8080"}, "http://localhost:8080"),
        ([], {"PORT": "8080", "EMBEDDING_URL": "https://a.example/b"}, "https://a.example/b"),
        (["http://b.example"], {"EMBEDDING_URL": "https://a.example"}, "http://b.example"),
        ([], {"PORT": "", "EMBEDDING_URL": ""}, "http://localhost:3000"),
    ],
)
def test_where_the_service_is(
    argv: list[str], variables: dict[str, str], url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PORT", "EMBEDDING_URL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.argv", ["example", *argv])
    assert url_from_command_line() == url


def test_none_installs_what_the_tests_need() -> None:
    needs = dict(re.findall(r"^(example-\w+): (.+?) ##", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    assert needs.pop("example-pictures") == "$(VENV)/.dev"  # those of the documentation
    assert len(needs) == 6
    assert set(needs.values()) == {"$(VENV)/.serve"}
