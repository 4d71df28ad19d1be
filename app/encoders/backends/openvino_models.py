"""Converted models on disk: their names, and how they are made.

They are made in a process of its own. torch and what it leaves behind take 400 MB; a child process gives them back,
so a first start of the service ends as small as a later one.
"""

import contextlib
import hashlib
import json
import logging
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import openvino as ov

from app.encoders.backends.contract import Graph
from app.errors import ModelUnavailable

logger = logging.getLogger(__name__)

# Part of the name of converted files: raise it when `export` or the torch modules behind it change.
CONVERTER_VERSION = 1
MODEL, WEIGHTS, SUMS = "model.xml", "model.bin", "sha256.json"
TIMEOUT_S = 600

# The child finds the same packages, wherever this process's path came from.
CHILD = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from app.encoders.backends.export import main
main(*sys.argv[2:])
"""


@contextlib.contextmanager
def converted(graph: Graph, cache: Path) -> Iterator[Path]:
    """A folder with the converted graph, made where need be; it may be gone afterwards."""
    folder = cache / key(graph)
    if not intact(folder):
        try:
            make(graph, folder)
        except OSError as exc:
            logger.warning("Converted models can't be kept in %s (%s); every start converts anew", cache, exc)
            with tempfile.TemporaryDirectory() as scratch:
                folder = Path(scratch, folder.name)
                make(graph, folder)
                yield folder
            return
    yield folder


def key(graph: Graph) -> str:
    """The folder name of a graph's conversion: all that it depends on, hashed; no precision, no path."""
    parts = graph.to_dict()
    del parts["directory"], parts["folder"], parts["allow_bin"]
    parts["tower"] = parts.pop("encoder")  # its name when the first of these folders were made
    parts["config"] = hashlib.sha256(Path(graph.folder, "config.json").read_bytes()).hexdigest()
    parts["versions"] = [ov.__version__, CONVERTER_VERSION]
    return f"{graph.encoder}-{hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:24]}"


def intact(folder: Path) -> bool:
    """Whether the folder holds a conversion whose files are as they were written."""
    try:
        sums = json.loads((folder / SUMS).read_text())
        return bool(sums) and all(_sha256(folder / name) == sum_ for name, sum_ in sums.items())
    except FileNotFoundError:
        if folder.exists():
            logger.warning("The converted model %s is incomplete; it is made again", folder.name)
    except (OSError, ValueError, AttributeError):
        pass
    return False


def make(graph: Graph, folder: Path) -> None:
    """Convert a graph into `folder`, which appears complete or not at all."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    for left in folder.parent.glob(f".{folder.name}-*"):
        # Of a process that was killed at it.
        if time.time() - left.stat().st_mtime > 2 * TIMEOUT_S:
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as scratch:
        new = Path(scratch, "new")
        new.mkdir()
        convert(graph, new / MODEL)
        (new / SUMS).write_text(json.dumps({file.name: _sha256(file) for file in sorted(new.iterdir())}))
        try:
            new.rename(folder)
        except OSError:
            # Another replica was faster, or the files there are damaged.
            if not intact(folder):
                shutil.rmtree(folder)
                new.rename(folder)


def convert(graph: Graph, target: Path) -> None:
    """Write the converted graph to `target` (an .xml, with its .bin beside it), in a child process.

    Raises:
        ModelUnavailable: The model's files can't be loaded or converted.
    """
    logger.info("converting it for OpenVINO, once")
    path = [entry or str(Path.cwd()) for entry in sys.path]
    command = [sys.executable, "-c", CHILD, json.dumps(path), json.dumps(graph.to_dict()), str(target)]
    with (
        tempfile.TemporaryFile() as errors,
        # stdin stays open and unused: its end is how the child learns that this process is gone.
        subprocess.Popen(  # noqa: S603  our own code and arguments
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=errors
        ) as child,
    ):
        try:
            code = child.wait(TIMEOUT_S)
        except subprocess.TimeoutExpired as exc:
            raise ModelUnavailable(f"Converting the model took more than {TIMEOUT_S} s.") from exc
        finally:
            child.kill()
        errors.seek(0)
        lines = errors.read().decode(errors="replace").strip().splitlines() or [f"exit code {code}"]
    if code != 0:
        raise ModelUnavailable(f"The model can't be converted for OpenVINO: {lines[-1]}")


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
