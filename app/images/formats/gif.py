"""Parses GIF blocks up to the first frame; later frames are never read."""

import struct
from collections.abc import Iterator

from app.images.formats.header import Essence, MalformedError

# The sender chooses the number of blocks and sub-blocks; real files have hundreds.
_MAX_BLOCKS = 100_000
_EXTENSION, _IMAGE, _CONTROL = 0x21, 0x2C, 0xF9


def size(data: bytes) -> tuple[int, int]:
    """The size of the canvas, enlarged as in Pillow if the first frame exceeds it."""
    width, height = struct.unpack_from("<HH", data, 6)
    frame = _frame(data)[0]
    left, top, frame_width, frame_height = struct.unpack_from("<HHHH", data, frame + 1)
    return max(width, left + frame_width), max(height, top + frame_height)


def essence(data: bytes) -> Essence:
    frame, control = _frame(data)
    return Essence(data[: _first_block(data)] + control + data[frame:])


def _first_block(data: bytes) -> int:
    flags = data[10]
    return 13 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)


def _frame(data: bytes) -> tuple[int, bytes]:
    """The position of the first frame, and its control block, which holds its transparency."""
    control = b""
    position = _first_block(data)
    budget = iter(range(_MAX_BLOCKS))
    while data[position] == _EXTENSION:
        end = _after_sub_blocks(data, position + 2, budget)
        if data[position + 1] == _CONTROL:
            control = data[position:end]
        position = end
    if data[position] != _IMAGE:
        raise MalformedError("The GIF contains no picture.")
    return position, control


def _after_sub_blocks(data: bytes, position: int, budget: Iterator[int]) -> int:
    for _ in budget:
        length = data[position]
        position += length + 1
        if not length:
            return position
    raise MalformedError("The GIF has too many blocks before its first picture.")
