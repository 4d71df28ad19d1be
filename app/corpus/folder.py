"""Lists the files of a source: nothing that lies in it is left out without a word."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote

import pyarrow as pa

from app.corpus.filesystem import Place, printable

_WHOLE = re.compile(r"-?(0|[1-9]\d{0,17})")
_NULL = "__HIVE_DEFAULT_PARTITION__"


@dataclass(slots=True)
class Listing:
    """`hidden`: what a leading `_` or `.` hides, as in Spark. `unread`: other files that can't be read, and why."""

    files: list[Place] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)
    unread: list[tuple[str, str]] = field(default_factory=list)


def list_files(root: Place) -> Listing:
    """All files in a folder, in the order of their paths; or the file itself."""
    found = Listing()
    if not root.is_folder():
        found.files.append(root)
    elif root.local is None:
        everything = root.files(recursive=True, hidden=True)
        found.files = root.files(recursive=True)
        found.hidden = [file.path for file in everything if file not in found.files]
    else:
        paths = sorted(_walk(root.path, (os.path.realpath(root.path),), found))
        found.files = [Place(root.filesystem, path) for path in paths]
    return found


def _walk(folder: str, above: tuple[str, ...], found: Listing) -> Iterator[str]:
    """`above`: the real paths of this folder and those around it: a link to one of them is a loop."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        found.unread.append((printable(folder), f"can't be listed: {error.strerror}"))
        return
    for entry in entries:
        shown = printable(entry.path)
        if entry.name.startswith(("_", ".")):
            found.hidden.append(shown)
        elif shown != entry.path:
            found.unread.append((shown, "its name is not UTF-8: rename it"))
        elif entry.is_dir():
            real = os.path.realpath(entry.path)
            if real in above:
                found.unread.append((shown, "a link to a folder that contains it"))
            else:
                yield from _walk(entry.path, (*above, real), found)
        elif entry.is_file():
            yield entry.path
        else:
            found.unread.append((shown, "a broken link" if entry.is_symlink() else "not a file"))


def partition(root: Place, file: str) -> dict[str, str | None]:
    """The columns in the names of the folders between `root` and a file, as in `year=2024/part.parquet`."""
    folders = PurePosixPath(file).parts[len(PurePosixPath(root.path).parts) : -1]
    pairs = (folder.split("=", 1) for folder in folders if "=" in folder[1:])
    return {unquote(name): None if value == _NULL else unquote(value) for name, value in pairs}


def partition_types(root: Place, files: list[Place]) -> dict[str, Any]:
    """int64 where all values are whole numbers, else string."""
    values: dict[str, set[str]] = {}
    for file in files:
        for name, value in partition(root, file.path).items():
            values.setdefault(name, set()).update([value] if value is not None else [])
    return {
        name: pa.int64() if some and all(map(_WHOLE.fullmatch, some)) else pa.string() for name, some in values.items()
    }


def with_partition(table: Any, values: dict[str, str | None], types: dict[str, Any]) -> Any:
    """The table with the columns of `partition`, unless it has them itself."""
    for name, kind in types.items():
        if name not in table.column_names:
            value = values.get(name)
            whole = int(value) if value is not None and pa.types.is_integer(kind) else value
            table = table.append_column(name, pa.array([whole] * len(table), kind))
    return table
