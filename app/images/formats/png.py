"""Parses PNG chunks: reads size and orientation, and strips metadata and later frames."""

import struct
import zlib

from app.images.formats import exif
from app.images.formats.header import Essence, MalformedError

_MAX_CHUNKS = 65_536
_PALETTE = 3
_KEY_SAMPLES = {0: 1, 2: 3}  # samples in tRNS, for colour types with one transparent colour
_NEEDED = (b"IHDR", b"PLTE", b"IDAT")
_END = b"\0\0\0\0IEND\xaeB`\x82"


def size(data: bytes) -> tuple[int, int]:
    if data[8:16] != b"\0\0\0\x0dIHDR":
        raise MalformedError("The PNG does not begin with its header.")
    width, height = struct.unpack_from(">II", data, 16)
    return width, height


def essence(data: bytes) -> Essence:
    depth, colour = data[24], data[25]
    kept = [data[:8]]
    names = set()
    turn = 1
    transparent: tuple[int, ...] | None = None
    position = 8
    for _ in range(_MAX_CHUNKS):
        length, name = struct.unpack(">I4s", data[position : position + 8].ljust(8, b"\0"))
        start, end = position + 8, position + 12 + length
        is_chunk = end <= len(data) and name.isalpha()
        if name == b"IEND" or (not is_chunk and b"IDAT" in names and name != b"IDAT"):
            # What is missing or damaged here does not concern the pixels. Pillow knows whether these are complete.
            # A file that was allocated before it was written may end in zeros.
            kept.append(_END)
            break
        if end > len(data) and name == b"IDAT":
            # Perhaps all pixels came, and only their checksum is cut.
            content = data[position + 4 : start + length]
            kept += [struct.pack(">I", len(content) - 4), content, struct.pack(">I", zlib.crc32(content)), _END]
            names.add(name)
            break
        if end > len(data):
            raise MalformedError("The PNG is truncated.")
        if name in _NEEDED or name == b"tRNS":
            # Pillow does not verify checksums of pixel data: a damaged file would give a wrong picture, not an error.
            if zlib.crc32(data[position + 4 : end - 4]) != struct.unpack_from(">I", data, end - 4)[0]:
                raise MalformedError("The PNG is damaged: a checksum does not match.")
            if name == b"tRNS" and colour in _KEY_SAMPLES:
                transparent = struct.unpack_from(f">{_KEY_SAMPLES[colour]}H", data[start : end - 4])
            else:
                kept.append(data[position:end])
        elif name == b"eXIf":
            turn = exif.orientation(data[start : end - 4])
        elif not name[0] & 0x20:
            raise MalformedError("The PNG needs an extension that is not supported.")
        if name == b"IHDR" and name in names:
            raise MalformedError("The PNG has two headers.")
        names.add(name)
        position = end
    else:
        raise MalformedError("The PNG has too many chunks.")
    if b"IDAT" not in names or (colour == _PALETTE and b"PLTE" not in names):
        raise MalformedError("The PNG contains no picture.")
    return Essence(b"".join(kept), turn, transparent, depth)
