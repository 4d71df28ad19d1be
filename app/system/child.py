"""Work for a process of its own, which gives back the memory of the libraries that only this work needs."""

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

from app.errors import ServiceError

# The child finds the same packages, wherever this process's path came from.
CHILD = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from {module} import main
main(*sys.argv[2:])
"""


def run(module: str, *arguments: str, timeout_s: float) -> tuple[int, str]:
    """Call a module's `main`; its exit code, and its last line. Raises TimeoutError, and ends it, after `timeout_s`."""
    path = [entry or str(Path.cwd()) for entry in sys.path]
    command = [sys.executable, "-c", CHILD.format(module=module), json.dumps(path), *arguments]
    with (
        tempfile.TemporaryFile() as errors,
        # stdin stays open and unused: its end is how the child learns that this process is gone.
        subprocess.Popen(  # noqa: S603  our own code and arguments
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=errors
        ) as child,
    ):
        try:
            code = child.wait(timeout_s)
        except subprocess.TimeoutExpired as exc:
            raise TimeoutError(f"it took more than {timeout_s:.0f} s") from exc
        finally:
            child.kill()
        errors.seek(0)
        lines = errors.read().decode(errors="replace").strip().splitlines()
    return code, lines[-1] if lines else f"exit code {code}"


def finish(work: Callable[[], None]) -> None:
    """The child's side: do the work, write why it failed, end the process."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    code = 0
    try:
        work()
    except ServiceError as exc:
        sys.stderr.write(f"{exc}\n")
        code = 1
    sys.stderr.flush()
    # Not sys.exit: nothing is left to tidy, and torch takes its time.
    os._exit(code)


def _end_with_parent() -> None:
    # Not sys.stdin: its lock would be held for ever, and a fork would wait for it.
    os.read(0, 1)
    os._exit(1)
