"""Code blocks of README and docs that are marked to run: with `run` in the tests' own environment, with
`run-with PACKAGES` in one that has the client and these packages."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from loadtests.running import ROOT

DOCUMENTS = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]
_BLOCK = re.compile(
    r"^```(sh|python) run(?:-with ([\w -]+))?\n(.*?)^```\n(?:^```json\n(.*?)^```)?", re.MULTILINE | re.DOTALL
)
# An answer that is an error fails the block.
_SHELL = 'set -euo pipefail\ncurl() { command curl --fail-with-body "$@" && echo; }\n'


@dataclass(frozen=True)
class Block:
    """`answer`: what a ```json block right after it shows."""

    name: str
    language: str
    packages: tuple[str, ...]
    code: str
    answer: str

    @property
    def printed(self) -> list[str]:
        """What a block says that it prints, as comments behind its prints."""
        return [line.split("  # ", 1)[1] for line in self.code.splitlines() if "print(" in line]

    def command(self, port: int, python: str | Path) -> list[str | Path]:
        """What runs it against a service at this port."""
        code = self.code.replace("localhost:3000", f"127.0.0.1:{port}")
        return ["bash", "-c", _SHELL + code] if self.language == "sh" else [python, "-c", code]

    def check(self, printed: str) -> None:
        """That a block prints what the document shows: of JSON, its fields."""
        if self.language == "python":
            assert self.printed, "the document shows nothing that is printed"
            assert printed.splitlines() == self.printed
            return
        answers = [json.loads(line) for line in printed.splitlines() if line]
        assert answers
        shown = set(re.findall(r'"(\w+)": ', self.answer))  # `…` stands for what was left out: no JSON to parse
        assert shown or self.answer.lstrip().startswith("["), "the document shows no answer"
        assert shown <= {name for answer in answers for name in _names(answer)}


def _names(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield name
            yield from _names(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _names(inner)


def blocks() -> Iterator[Block]:
    for path in DOCUMENTS:
        text = path.read_text("utf-8")
        for found in _BLOCK.finditer(text):
            line = text.count("\n", 0, found.start()) + 1
            packages = tuple((found[2] or "").split())
            yield Block(f"{path.relative_to(ROOT)}:{line}", found[1], packages, found[3], found[4] or "")
