"""Files that appear whole or not at all, whoever else writes or reads them meanwhile."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path, prefix: str = ".") -> Iterator[Path]:
    """A file beside `path` to write; without an error it takes the place of `path`, with one it is gone. By `prefix`
    what a killed process leaves behind is known."""
    scratch = path.with_name(f"{prefix}{path.name}.{os.getpid()}-{threading.get_ident()}.tmp")
    try:
        yield scratch
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)
