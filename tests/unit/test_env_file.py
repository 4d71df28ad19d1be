"""Where a setting comes from: the environment wins over `.env`, and both over the file."""

import os
from pathlib import Path
from typing import Any

import pytest

from app import __main__ as command
from app.config.settings import AppArgs, LaunchSettings
from loadtests.running import write_config


class Started(Exception):
    pass


def started(
    place: Path, monkeypatch: pytest.MonkeyPatch, lines: list[str], **variables: str
) -> tuple[AppArgs, LaunchSettings]:
    """What the launcher would start with, where `.env` has these lines."""
    found: list[Any] = []
    monkeypatch.chdir(place)
    Path(".env").write_text("\n".join(lines) + "\n")
    names = {line.partition("=")[0] for line in lines} | {
        "PORT",
        "CACHE_TTL",
        "CACHE_MAX_SIZE",
        "PYTHON_DOTENV_DISABLED",
    }
    # What `.env` sets ends with the test, and what this process was started with is no part of it.
    monkeypatch.setattr(os, "environ", {k: v for k, v in os.environ.items() if k not in names} | variables)

    def notice(args: AppArgs, settings: LaunchSettings) -> str:
        found.extend((args, settings))
        raise Started

    monkeypatch.setattr(command, "access_notice", notice)
    config = write_config(place, cache={"ttl_ms": 5, "max_size": 50})
    with pytest.raises(Started):
        command.main(["--config", str(config), "serve"])
    return found[0], found[1]


def test_the_file_is_below_dot_env_which_is_below_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = ["CACHE_TTL=6", "PORT=4001", "CACHE_MAX_SIZE=60"]
    args, settings = started(tmp_path, monkeypatch, lines, CACHE_TTL="7")
    assert (args.cache.ttl_ms, args.cache.max_size, settings.port) == (7, 60, 4001)


def test_without_either_the_file_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    args, settings = started(tmp_path, monkeypatch, ["# nothing", "CACHE_TTL="])
    assert (args.cache.ttl_ms, args.cache.max_size, settings.port) == (5, 50, 3000)


def test_the_example_is_read_as_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    example = (Path(__file__).parents[2] / ".env.example").read_text().splitlines()
    started(tmp_path, monkeypatch, example)
