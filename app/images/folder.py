"""Reading a file that a stranger names, from beneath one folder and nowhere else.

Every component is opened by itself, relative to the one before and without following links: what is checked
is what is read, however the tree changes meanwhile. Links are refused wherever they lead, inside too: to
follow some of them means to resolve names that others may be changing. The folder itself may be a link.

A hard link can't be told from the file it names; whoever may write into the folder decides what is in it.
"""

import os
import stat
from pathlib import Path

from app.config.args import Limits
from app.errors import InvalidImage, PayloadTooLarge

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Opening a FIFO or a terminal must neither wait nor take it over.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
_MAX_PATH = 4096


def read(path: str, *, folder: Path | None, limits: Limits, param: str) -> bytes:
    """The bytes of a regular file beneath `folder`.

    Raises:
        InvalidImage: Paths are off, or the path can't be read; the answer is the same for a file that is
            missing, outside, a link or not a file, so that it tells nothing of what exists.
        PayloadTooLarge: The file is larger than `limits.image_bytes`.
    """
    if folder is None:
        raise InvalidImage("Image paths are off; set IMAGE_FOLDER to the folder they may name.", param)
    try:
        descriptor = _open(folder, _parts(path))
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise _unreadable(param)
            if status.st_size > limits.image_bytes:
                raise _too_large(limits, param)
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                # The size is of a moment ago; the file may be growing.
                data = file.read(limits.image_bytes + 1)
        finally:
            os.close(descriptor)
    except (OSError, ValueError) as error:
        raise _unreadable(param) from error
    if len(data) > limits.image_bytes:
        raise _too_large(limits, param)
    return data


def _parts(path: str) -> list[bytes]:
    # Strict UTF-8: lone surrogates would come back as arbitrary bytes. NUL is refused by `os.open`.
    if path.startswith("/") or len(path) > _MAX_PATH:
        raise ValueError("absolute, or longer than paths get")
    parts = [part for part in path.encode().split(b"/") if part not in (b"", b".")]
    if not parts or b".." in parts:
        raise ValueError("not beneath")
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


def _unreadable(param: str) -> InvalidImage:
    return InvalidImage("No image can be read at this path.", param)


def _too_large(limits: Limits, param: str) -> PayloadTooLarge:
    return PayloadTooLarge(f"The image has more than {limits.image_bytes} bytes.", param)
