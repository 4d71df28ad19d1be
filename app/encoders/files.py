"""Reads files of somebody else's model directory: whatever is wrong with one is a `ModelUnavailable` that names it."""

import hashlib
import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.errors import ModelUnavailable, ServiceError

logger = logging.getLogger(__name__)

POINTER = b"version https://git-lfs"
MOST_HEADER = 100 * 2**20


@dataclass(frozen=True, slots=True)
class Tensor:
    """Where a tensor's bytes are in its file."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    stop: int


@contextmanager
def reading(file: Path) -> Iterator[None]:
    """What fails within is the file's fault."""
    try:
        yield
    except ServiceError:
        raise
    except BaseException as exc:
        # The tokenizers library panics on some files, with a class that is no Exception.
        if not isinstance(exc, Exception) and type(exc).__name__ != "PanicException":
            raise
        raise ModelUnavailable(f"The model's {_name(file)} can't be read ({described(exc)}); fetch it again.") from exc


@contextmanager
def loading(model_id: str) -> Iterator[None]:
    """The last net below `reading`: one model that can't be loaded must not end a service that has others."""
    try:
        yield
    except (ServiceError, MemoryError):
        raise
    except Exception as exc:
        logger.warning("Loading %s failed", model_id, exc_info=exc)
        raise ModelUnavailable(f"{model_id} can't be loaded: {described(exc)}.") from exc


def described(exc: BaseException) -> str:
    """One line."""
    lines = str(exc).strip().splitlines() or [""]
    first = " ".join(map(str.strip, lines[: 1 + lines[0].endswith(":")])).rstrip(".:")  # torch's first is a heading
    return f"{type(exc).__name__}: {first}" if first else type(exc).__name__


def read_json(path: Path, kind: type = dict) -> Any:
    """The file's content, which must be of a kind; None if there is no file."""
    with reading(path):
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        check_pointer(path, data)
        content = json.loads(data)
        if not isinstance(content, kind):
            raise TypeError(f"it holds a {type(content).__name__}, not a {kind.__name__}")
        return content


def check_pointer(file: Path, data: bytes) -> None:
    if data.startswith(POINTER):
        raise ModelUnavailable(f"The model's {_name(file)} is a Git LFS pointer, not the file; run git lfs pull.")


def tensors(file: Path) -> dict[str, Tensor]:
    """The table of contents of a safetensors file that is whole."""
    with reading(file), file.open("rb") as stream:
        head = stream.read(8)
        check_pointer(file, head + stream.read(32))
        stream.seek(8)
        length, size = int.from_bytes(head, "little"), file.stat().st_size
        if not 2 <= length <= min(size - 8, MOST_HEADER):
            raise ValueError("it does not begin as a safetensors file does")
        found = {
            name: Tensor(one["dtype"], (*map(int, one["shape"]),), *(8 + length + at for at in one["data_offsets"]))
            for name, one in json.loads(stream.read(length)).items()
            if name != "__metadata__"
        }
        end = max((one.stop for one in found.values()), default=8 + length)
        if end != size:
            raise ValueError(f"it has {size:,} bytes of {end:,}")
        return found


def sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _name(file: Path) -> str:
    """With its module's folder, such as 1_Pooling."""
    return f"{file.parent.name}/{file.name}" if re.match(r"\d+_", file.parent.name) else file.name
