"""The command line against a service that one can read."""

import pytest

from app.__main__ import main
from tests.support.talking import FakeService

LINES = [f"{'abcdefgh'[i % 8] * (i % 13 + 1)}{i}" for i in range(700)]


class World:
    def __init__(self, service: FakeService, url: str, capsys: pytest.CaptureFixture[str]) -> None:
        self.service = service
        self.url = url
        self.capsys = capsys

    def __call__(self, *argv: object) -> tuple[int, str, str]:
        """(exit code, stdout, stderr)"""
        code = main([*map(str, argv), "--url", self.url])
        out, err = self.capsys.readouterr()
        return code, out, err
