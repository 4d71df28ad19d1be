"""Converts a torch module to OpenVINO in a process of its own.

torch and what it leaves behind take 400 MB; a child process gives them back, so a first start of the service
ends as small as a later one. What the files are named and when they are made is the OpenVINO backend's.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from app.encoders.backends.contract import Graph
from app.errors import ModelUnavailable

TIMEOUT_S = 600

# The child finds the same packages, wherever this process's path came from.
CHILD = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from app.encoders.backends.conversion import main
main(*sys.argv[2:])
"""


def convert(graph: Graph, target: Path) -> None:
    """Write the converted graph to `target` (an .xml, with its .bin beside it), in a child process.

    Raises:
        ModelUnavailable: The model's files can't be loaded or converted.
    """
    path = [entry or str(Path.cwd()) for entry in sys.path]
    command = [sys.executable, "-c", CHILD, json.dumps(path), json.dumps(graph.to_dict()), str(target)]
    with (
        tempfile.TemporaryFile() as said,
        # stdin stays open and unused: its end is how the child learns that this process is gone.
        subprocess.Popen(  # noqa: S603  our own code and arguments
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=said
        ) as child,
    ):
        try:
            code = child.wait(TIMEOUT_S)
        except subprocess.TimeoutExpired as exc:
            raise ModelUnavailable(f"Converting the model took more than {TIMEOUT_S} s.") from exc
        finally:
            child.kill()
        said.seek(0)
        lines = said.read().decode(errors="replace").strip().splitlines() or [f"exit code {code}"]
    if code != 0:
        raise ModelUnavailable(f"The model can't be converted for OpenVINO: {lines[-1]}")


def main(graph: str, target: str) -> None:
    """The child's work; it ends the process."""
    from app.encoders.backends import openvino_runner

    threading.Thread(target=_end_with_parent, daemon=True).start()
    code = 0
    try:
        openvino_runner.write(Graph.from_dict(json.loads(graph)), Path(target))
    except ModelUnavailable as exc:
        sys.stderr.write(f"{exc}\n")
        code = 1
    sys.stderr.flush()
    # Not sys.exit: nothing is left to tidy, and torch takes its time.
    os._exit(code)


def _end_with_parent() -> None:
    # Not sys.stdin: its lock would be held for ever, and a fork would wait for it.
    os.read(0, 1)
    os._exit(1)
