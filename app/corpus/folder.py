"""Lists the files of a source, and those that are left out; reads the columns in the names of its folders."""

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


@dataclass(slots=True)
class Listing:
    """`hidden`: what a leading `_` or `.` hides, as in Spark. `unread`: other files that can't be read, and why."""

    files: list[Place] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)
    unread: list[tuple[str, str]] = field(default_factory=list)


def list_files(root: Place) -> Listing:
    """All files in a folder, in the order of their paths; or the file itself."""
    if not root.is_folder():
        return Listing([root])
    found = Listing()
    if root.local is None:
        files = root.files(recursive=True)
    else:
        above = (os.path.realpath(root.path),)
        files = [Place(root.filesystem, path) for path in sorted(_walk(root.path, above, found))]
    found.hidden += [file.path for file in files if file.is_hidden(root.path)]
    found.files = [file for file in files if not file.is_hidden(root.path)]
    return found


def _walk(folder: str, above: tuple[str, ...], found: Listing) -> Iterator[str]:
    """`above`: the real paths of this folder and those around it; a link to one of them is a loop."""
    with os.scandir(folder) as entries:
        for entry in entries:
            shown, real = printable(entry.path), os.path.realpath(entry.path)
            if shown != entry.path:
                found.unread.append((shown, "its name is not UTF-8: rename it"))
            elif entry.is_file():
                yield entry.path
            elif not entry.is_dir():
                found.unread.append((shown, "a broken link" if entry.is_symlink() else "not a file"))
            elif real in above:
                found.unread.append((shown, "a link to a folder that contains it"))
            else:
                yield from _walk(entry.path, (*above, real), found)


def partition(root: Place, file: str) -> dict[str, str | None]:
    """The columns in the names of the folders between `root` and a file, as in `year=2024/part.parquet`."""
    folders = PurePosixPath(file).parts[len(PurePosixPath(root.path).parts) : -1]
    pairs = [map(_unquoted, folder.split("=", 1)) for folder in folders if "=" in folder[1:]]
    return {name: None if value == "__HIVE_DEFAULT_PARTITION__" else value for name, value in pairs}


def _unquoted(name: str) -> str:
    try:
        return unquote(name, errors="strict")
    except UnicodeDecodeError:  # else two values would become the same
        return name


def partition_types(root: Place, files: list[Place]) -> dict[str, Any]:
    """int64 where all values are whole numbers, else string."""
    types: dict[str, Any] = {}
    for file in files:
        for name, value in partition(root, file.path).items():
            whole = value is None or _WHOLE.fullmatch(value)
            types[name] = types.get(name, pa.int64()) if whole else pa.string()
    return types


def typed(values: dict[str, str | None], types: dict[str, Any]) -> dict[str, Any]:
    """The values of `partition` by their `partition_types`."""
    return {name: int(value) if value and types[name] == pa.int64() else value for name, value in values.items()}


def with_partition(table: Any, values: dict[str, str | None], types: dict[str, Any]) -> Any:
    """The table with the columns of `partition`, unless it has them itself."""
    for name in [name for name in types if name not in table.column_names]:
        column = pa.array([values.get(name)] * len(table), pa.string())
        table = table.append_column(name, column.cast(types[name]))
    return table
