"""Reads files whose paths come from clients, strictly from beneath one folder, which may itself be a link.

Every path component is opened relative to its parent and without following links, also those that lead inside. So the
file that is checked is the file that is read, even if the tree changes in between. A hard link can't be distinguished
from its file: whoever may write into the folder decides on its content."""

import os
import stat
from pathlib import Path

from app.config.args import Limits
from app.errors import InvalidImage, PayloadTooLarge

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Opening a FIFO must not block, and opening a terminal must not make it the controlling one.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
_MAX_PATH = 4096


def read(path: str, *, folder: Path | None, limits: Limits, param: str) -> bytes:
    """The content of a regular file beneath `folder`.

    Raises:
        InvalidImage: Paths are disabled, or the path can't be read. The message is the same for a path that is
            missing, outside, a link or not a regular file, so that it reveals nothing about the file system.
        PayloadTooLarge: The file is larger than `limits.image_bytes`.
    """
    if folder is None:
        raise InvalidImage("Image paths are disabled; set IMAGE_FOLDER to enable paths beneath that folder.", param)
    too_large = PayloadTooLarge(f"The image has more than {limits.image_bytes} bytes.", param)
    try:
        with open(path, "rb", opener=lambda *_: _open(folder, _parts(path))) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise ValueError("not a regular file")
            if status.st_size > limits.image_bytes:
                raise too_large
            data = file.read(limits.image_bytes + 1)
    except (OSError, ValueError) as error:
        raise InvalidImage("No image can be read at this path.", param) from error
    # It may have grown meanwhile.
    if len(data) > limits.image_bytes:
        raise too_large
    return data


def _parts(path: str) -> list[bytes]:
    # Strict UTF-8: lone surrogates would become arbitrary bytes. `os.open` rejects NUL.
    if path.startswith("/") or len(path) > _MAX_PATH:
        raise ValueError("absolute or too long")
    parts = [part for part in path.encode().split(b"/") if part not in (b"", b".")]
    if not parts or b".." in parts:
        raise ValueError("not beneath the folder")
    return parts


def _open(folder: Path, parts: list[bytes]) -> int:
    current = os.open(folder, _DIRECTORY & ~os.O_NOFOLLOW)
    try:
        for part in parts[:-1]:
            inner = os.open(part, _DIRECTORY, dir_fd=current)
            os.close(current)
            current = inner
        return os.open(parts[-1], _FILE, dir_fd=current)
    finally:
        os.close(current)
