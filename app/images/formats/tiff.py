"""Parses the first directory of a TIFF file (TIFF 6.0): reads size and orientation. Pillow gets the file with that
directory alone, and of it only the tags that the pixels need."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from app.images.formats.header import Essence, MalformedError

_MAX_TAGS = 1024
_MAX_VALUES = 65_536  # of one tag: strips or tiles, colours
_WIDTH, _HEIGHT, _COMPRESSION, _ORIENTATION = 256, 257, 259, 274
_PLACES = ((273, 279), (324, 325))  # offsets and byte counts of strips, of tiles
# struct's codes of the types of tags; the others are fractions and floating-point numbers of 8 and 4 bytes.
_TYPES = {1: "B", 2: "B", 3: "H", 4: "I", 5: "Q", 6: "b", 7: "B", 8: "h", 9: "i", 10: "Q", 11: "I", 12: "Q"}
# Photometric interpretation, fill order, samples, rows per strip, planes, fax options, predictor, size of tiles.
_ONE = frozenset({_WIDTH, _HEIGHT, _COMPRESSION, 262, 266, _ORIENTATION, 277, 278, 284, 292, 293, 317, 322, 323, 531})
# Bits, strips, palette, tiles, extra samples, sample format, JPEG tables, YCbCr.
_MANY = frozenset({258, 273, 279, 320, 324, 325, 338, 339, 347, 530, 532})
# None, fax, LZW, JPEG, Deflate, PackBits.
_COMPRESSIONS = frozenset({1, 2, 3, 4, 5, 7, 8, 32773, 32946})


@dataclass(frozen=True, slots=True)
class _Tag:
    values: tuple[int, ...]
    entry: bytes


def size(data: bytes) -> tuple[int, int]:
    tags = _tags(data)
    if _WIDTH not in tags or _HEIGHT not in tags:
        raise MalformedError("The TIFF contains no picture.")
    return tags[_WIDTH].values[0], tags[_HEIGHT].values[0]


def essence(data: bytes) -> Essence:
    tags = _tags(data)
    if _COMPRESSION in tags and tags[_COMPRESSION].values[0] not in _COMPRESSIONS:
        raise MalformedError("The TIFF's compression is not supported; send it as PNG or JPEG.")
    parts = list(_parts(tags))
    if not parts or any(start + length > len(data) for start, length in parts):
        raise MalformedError("The TIFF is truncated.")
    turn = tags[_ORIENTATION].values[0] if _ORIENTATION in tags else 1
    kept = [tag.entry for number, tag in tags.items() if number != _ORIENTATION]
    # Offsets are absolute, so the new directory goes to the end, at an even position.
    order = _order(data)
    body = data + b"\0" * (len(data) % 2)
    directory = struct.pack(order + "H", len(kept)) + b"".join(kept) + bytes(4)
    return Essence(body[:4] + struct.pack(order + "I", len(body)) + body[8:] + directory, turn)


def _parts(tags: dict[int, _Tag]) -> Iterator[tuple[int, int]]:
    """Place and length of each strip or tile."""
    for offsets, counts in _PLACES:
        if offsets in tags and counts in tags:
            yield from zip(tags[offsets].values, tags[counts].values, strict=True)


def _order(data: bytes) -> str:
    return "<" if data[:2] == b"II" else ">"


def _tags(data: bytes) -> dict[int, _Tag]:
    """The first directory's tags that matter. Raises struct.error if one is not in the file."""
    order = _order(data)
    (table,) = struct.unpack_from(order + "I", data, 4)
    (count,) = struct.unpack_from(order + "H", data, table)
    if count > _MAX_TAGS:
        raise MalformedError("The TIFF has too many tags.")
    tags = {}
    for start in range(table + 2, table + 2 + 12 * count, 12):
        number, kind, length = struct.unpack_from(order + "HHI", data, start)
        if number not in _ONE | _MANY:
            continue
        if kind not in _TYPES or not 1 <= length <= (1 if number in _ONE else _MAX_VALUES) or number in tags:
            raise MalformedError("The TIFF is damaged.")
        format_ = f"{order}{length}{_TYPES[kind]}"
        place = start + 8 if struct.calcsize(format_) <= 4 else struct.unpack_from(order + "I", data, start + 8)[0]
        tags[number] = _Tag(struct.unpack_from(format_, data, place), data[start : start + 12])
    return tags
