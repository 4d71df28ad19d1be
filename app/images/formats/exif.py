"""Reads the orientation from an EXIF block, and nothing else; XMP's copy of the tag is ignored, as in browsers."""

import struct

_ORIENTATION = 0x0112
_SHORT = 3


def orientation(block: bytes) -> int:
    """EXIF bytes, with or without the `Exif` prefix -> 1 to 8; 1 (upright) if they can't be read."""
    tiff = block.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return 1
    try:
        (table,) = struct.unpack_from(order + "I", tiff, 4)
        (count,) = struct.unpack_from(order + "H", tiff, table)
        for entry in range(table + 2, table + 2 + 12 * count, 12):
            tag, kind, _, value = struct.unpack_from(order + "HHIH", tiff, entry)
            if tag == _ORIENTATION:
                return value if kind == _SHORT and 1 <= value <= 8 else 1
    except struct.error:
        pass
    return 1
