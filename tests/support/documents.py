"""Code blocks of README and docs that are marked to run: with `run` in the tests' own environment, with
`run-with PACKAGES` in one that has the client and these packages."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from loadtests.running import ROOT

DOCUMENTS = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]
_BLOCK = re.compile(
    r"^```(sh|python) run(?:-with ([\w -]+))?\n(.*?)^```\n(?:^```json\n(.*?)^```)?", re.MULTILINE | re.DOTALL
)


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


def blocks() -> Iterator[Block]:
    for path in DOCUMENTS:
        text = path.read_text("utf-8")
        for found in _BLOCK.finditer(text):
            line = text.count("\n", 0, found.start()) + 1
            packages = tuple((found[2] or "").split())
            yield Block(f"{path.relative_to(ROOT)}:{line}", found[1], packages, found[3], found[4] or "")
