"""Files and folders on local disks and on remote filesystems (s3://, gs://, hdfs:// and those of fsspec)."""

import csv
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from app.errors import InvalidRequest

SCRATCH = "_tmp-"  # prefix of incomplete files; the next run deletes those that a killed process left behind


@dataclass(frozen=True, slots=True)
class Place:
    """A file or folder on some filesystem."""

    filesystem: Any
    path: str

    def __truediv__(self, name: str) -> "Place":
        return Place(self.filesystem, str(PurePosixPath(self.path, name)))

    @property
    def name(self) -> str:
        return PurePosixPath(self.path).name

    @property
    def parent(self) -> "Place":
        return Place(self.filesystem, str(PurePosixPath(self.path).parent))

    @property
    def local(self) -> Path | None:
        """The local path, which can be memory-mapped; None on a remote filesystem."""
        return Path(self.path) if isinstance(self.filesystem, pafs.LocalFileSystem) else None

    @property
    def in_memory(self) -> bool:
        """Whether it is in this process's memory, where other processes can't read it."""
        handler = getattr(self.filesystem, "handler", None)
        return getattr(getattr(handler, "fs", None), "protocol", None) == "memory"

    def is_folder(self) -> bool:
        return bool(self.filesystem.get_file_info(self.path).type == pafs.FileType.Directory)

    def exists(self) -> bool:
        return bool(self.filesystem.get_file_info(self.path).type != pafs.FileType.NotFound)

    def files(self, *, recursive: bool = False) -> list["Place"]:
        """The files of a folder in order; [] if it does not exist."""
        found = self.filesystem.get_file_info(pafs.FileSelector(self.path, True, recursive))
        names = sorted(info.path for info in found if info.type == pafs.FileType.File)
        return [Place(self.filesystem, name) for name in names]

    def is_hidden(self, root: str) -> bool:
        """Whether a leading `_` or `.` hides it, or a folder between it and `root`."""
        inner = PurePosixPath(self.path).parts[len(PurePosixPath(root).parts) :]
        return any(part.startswith(("_", ".")) for part in inner)

    def open(self) -> Any:
        """A seekable `pyarrow.NativeFile`."""
        return self.filesystem.open_input_file(self.path)

    def read(self, start: int = 0, stop: int | None = None) -> bytes:
        with self.open() as file:
            file.seek(start)
            data: bytes = file.read(None if stop is None else stop - start)
            return data

    def read_table(self, columns: list[str]) -> Any:
        """These columns of a Parquet file, as a `pyarrow.Table`."""
        with reading(self), self.open() as file:
            return pq.read_table(file, columns=columns)

    def read_schema(self) -> Any:
        """The schema of a Parquet file, including its metadata."""
        with reading(self), self.open() as file:
            return pq.read_schema(file)

    def make_folder(self) -> None:
        self.filesystem.create_dir(self.path, recursive=True)

    @contextmanager
    def writing(self, scratch_name: str | None = None) -> Iterator[Any]:
        """A stream to write: the file appears under its name when it is complete."""
        scratch = self.parent / f"{SCRATCH}{scratch_name or uuid.uuid4().hex}"
        try:
            with self.filesystem.open_output_stream(scratch.path) as file:
                yield file
        except BaseException:
            with suppress(OSError):
                scratch.delete()
            raise
        self.filesystem.move(scratch.path, self.path)

    def write(self, data: bytes) -> None:
        with self.writing() as file:
            file.write(data)

    def delete(self) -> None:
        self.filesystem.delete_file(self.path)


def locate(uri: str) -> Place:
    """The place of a path, or of a URI that pyarrow or an installed fsspec knows. Raises InvalidRequest."""
    if printable(uri) != uri:
        raise InvalidRequest(f"{printable(uri)}: its name is not UTF-8; rename it.")
    if "://" not in uri:
        return Place(pafs.LocalFileSystem(), str(Path(uri).expanduser().absolute()))
    try:
        return Place(*pafs.FileSystem.from_uri(uri))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as arrow:
        scheme, path = uri.split("://", 1)
        try:
            import fsspec

            return Place(pafs.PyFileSystem(pafs.FSSpecHandler(fsspec.filesystem(scheme))), path)
        except (ImportError, ValueError) as error:
            raise InvalidRequest(f"{uri} can't be reached: {arrow}; {error}") from error


@contextmanager
def reading(file: Place) -> Iterator[None]:
    """Names the file if it can't be read. Raises InvalidRequest."""
    try:
        yield
    except (OSError, ValueError, csv.Error, pa.ArrowException) as error:
        number = getattr(error, "errno", None)
        reason = os.strerror(number) if number else str(error).strip().partition("\n")[0].rstrip(".")
        raise InvalidRequest(f"{file.path} {'can not be read' if number else 'is damaged'}: {reason}.") from error


def printable(path: str) -> str:
    """A path whose bytes may be no UTF-8."""
    return path.encode(errors="surrogateescape").decode(errors="backslashreplace")
