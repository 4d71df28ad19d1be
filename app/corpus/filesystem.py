"""Files and folders on local disks and on remote filesystems (s3://, gs://, hdfs:// and those of fsspec)."""

import uuid
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.fs as pafs

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
        """The files of a folder in order, without those hidden by a leading `_` or `.`; [] if it does not exist."""
        found = self.filesystem.get_file_info(pafs.FileSelector(self.path, True, recursive))
        names = sorted(info.path for info in found if info.type == pafs.FileType.File)
        return [Place(self.filesystem, name) for name in names if not _hidden(PurePosixPath(name), self.path)]

    def scratch(self) -> list["Place"]:
        found = self.filesystem.get_file_info(pafs.FileSelector(self.path, True))
        return [self / PurePosixPath(i.path).name for i in found if PurePosixPath(i.path).name.startswith(SCRATCH)]

    def open(self) -> Any:
        """A seekable `pyarrow.NativeFile`."""
        return self.filesystem.open_input_file(self.path)

    def read(self) -> bytes:
        with self.open() as file:
            data: bytes = file.read()
            return data

    def make_folder(self) -> None:
        self.filesystem.create_dir(self.path, recursive=True)

    def write(self, data: Any) -> None:
        """Write atomically: the file appears under its name when it is complete."""
        parent = Place(self.filesystem, str(PurePosixPath(self.path).parent))
        scratch = parent / f"{SCRATCH}{uuid.uuid4().hex}"
        with self.filesystem.open_output_stream(scratch.path) as file:
            file.write(data)
        self.filesystem.move(scratch.path, self.path)

    def delete(self) -> None:
        self.filesystem.delete_file(self.path)


def locate(uri: str) -> Place:
    """The place of a path, or of a URI that pyarrow or an installed fsspec filesystem supports.

    Raises:
        InvalidRequest: No filesystem supports the URI.
    """
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


def _hidden(path: PurePosixPath, root: str) -> bool:
    inner = path.parts[len(PurePosixPath(root).parts) :]
    return any(part.startswith(("_", ".")) for part in inner)
