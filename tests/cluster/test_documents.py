"""Every block of README and docs that is tagged `run` runs here as it stands, on the port of the tests' service.

What stands in a ```json block right after one is what it printed once: its fields must be those printed now.
"""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest

from loadtests.running import ROOT, RunningService
from tests.support.documents import DOCUMENTS, Block, blocks

# An answer that is an error fails the block.
SHELL = 'set -euo pipefail\ncurl() { command curl --fail-with-body "$@" && echo; }\n'


BLOCKS = [block for block in blocks() if not block.packages]


def test_the_documents_have_blocks_that_run() -> None:
    assert {block.language for block in BLOCKS} == {"sh", "python"}
    assert len([block for block in BLOCKS if block.name.startswith("README.md:")]) == 4
    text = "\n".join(path.read_text("utf-8") for path in DOCUMENTS)
    untagged = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert not [code for code in untagged if code.startswith("curl")]


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.name)
def test_it_runs_and_prints_what_the_document_shows(block: Block, service: RunningService) -> None:
    if block.language == "sh" and (missing := [tool for tool in ("bash", "curl") if shutil.which(tool) is None]):
        pytest.skip(f"needs {missing[0]}")
    code = block.code.replace("localhost:3000", f"127.0.0.1:{service.port}")
    command = ["bash", "-c", SHELL + code] if block.language == "sh" else [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    if block.language == "sh":
        answers = [json.loads(line) for line in done.stdout.splitlines() if line]
        assert answers
        shown = fields_of(block.answer)
        assert shown or block.answer.lstrip().startswith("["), "the document shows no answer"
        assert shown <= {name for answer in answers for name in names(answer)}
    else:
        assert block.printed, "the document shows nothing that is printed"
        assert done.stdout.splitlines() == block.printed


def fields_of(shown: str) -> set[str]:
    """`…` stands for what was left out, so it is no JSON that could be parsed."""
    return set(re.findall(r'"(\w+)": ', shown))


def names(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield name
            yield from names(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from names(inner)
