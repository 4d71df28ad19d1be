"""GIF blocks up to the first frame, the only one that is ever read."""

import struct
from collections.abc import Iterator

from app.images.formats.header import Essence, MalformedError

# Block and sub-block counts are the sender's choice; those of real files stay in the hundreds.
_MAX_BLOCKS = 100_000
_EXTENSION, _IMAGE, _CONTROL = 0x21, 0x2C, 0xF9


def size(data: bytes) -> tuple[int, int]:
    """The canvas, widened as Pillow does when the first frame sticks out of it."""
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
    """Where the first frame begins, and the control block (transparency) that belongs to it."""
    control = b""
    position = _first_block(data)
    budget = iter(range(_MAX_BLOCKS))
    while data[position] == _EXTENSION:
        end = _after_sub_blocks(data, position + 2, budget)
        if data[position + 1] == _CONTROL:
            control = data[position:end]
        position = end
    if data[position] != _IMAGE:
        raise MalformedError("The GIF holds no picture.")
    return position, control


def _after_sub_blocks(data: bytes, position: int, budget: Iterator[int]) -> int:
    for _ in budget:
        length = data[position]
        position += length + 1
        if not length:
            return position
    raise MalformedError("The GIF has too many blocks before its first picture.")
