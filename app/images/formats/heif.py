"""Reads the size of AVIF and HEIC files (ISO/IEC 23008-12): boxes that contain boxes."""

import struct
from collections.abc import Iterator

from app.images.formats.header import MalformedError

_MAX_BOXES = 10_000


def size(data: bytes) -> tuple[int, int]:
    """The size of the largest picture: all others are its parts or its thumbnails."""
    sizes = [
        struct.unpack_from(">II", data, start + 4)
        for meta, meta_end in _boxes(data, 0, len(data), b"meta")
        for properties, end in _boxes(data, meta + 4, meta_end, b"iprp")
        for container, container_end in _boxes(data, properties, end, b"ipco")
        for start, _ in _boxes(data, container, container_end, b"ispe")
    ]
    if not sizes:
        raise MalformedError("The file contains no picture.")
    width, height = max(sizes, key=lambda one: one[0] * one[1])
    return width, height


def _boxes(data: bytes, start: int, end: int, name: bytes) -> Iterator[tuple[int, int]]:
    """(start, end) of the content of the boxes with this name."""
    for _ in range(_MAX_BOXES):
        if start + 8 > end:
            return
        length, kind = struct.unpack_from(">I4s", data, start)
        head = 8
        if length == 1:
            (length,) = struct.unpack_from(">Q", data, start + 8)
            head = 16
        # 0: up to the end of the file.
        after = start + length if length else end
        if length and (length < head or after > end):
            return  # whatever follows is not a box
        if kind == name:
            yield start + head, after
        start = after
