"""Every block of README and docs that is tagged `run` runs here as it stands, on the port of the tests' service.

What stands in a ```json block right after one is what it printed once: its fields must be those printed now.
"""

import re
import shutil
import subprocess
import sys

import pytest

from loadtests.running import ROOT, RunningService
from tests.support.documents import DOCUMENTS, Block, blocks

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
    command = block.command(service.port, sys.executable)
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    block.check(done.stdout)
