"""Reads BMP headers, and rewrites the one that Pillow does not know."""

import struct

from app.images.formats.header import Essence, MalformedError

_FILE_HEADER, _INFO_HEADER, _V4_HEADER = 14, 40, 108
_RLE, _BITFIELDS, _ALPHA_BITFIELDS = (1, 2), 3, 6


def size(data: bytes) -> tuple[int, int]:
    (header_size,) = struct.unpack_from("<I", data, 14)
    if header_size == 12:
        width, height = struct.unpack_from("<HH", data, 18)
        return width, height
    width, height, compression = struct.unpack_from("<ii4xI", data, 18)
    if compression in _RLE:
        # Pillow unpacks these pixel by pixel in Python: a file of 8 kB can block the interpreter for seconds.
        raise MalformedError("Run-length compressed BMP is not supported; send it uncompressed or as PNG.")
    # A negative height means that rows are stored from top to bottom.
    return width, abs(height)


def essence(data: bytes) -> Essence:
    """BI_ALPHABITFIELDS (Windows CE: four masks after the short header, where longer ones have them) becomes a V4
    header with the same masks."""
    header_size, compression = struct.unpack_from("<I12xI", data, _FILE_HEADER)
    if header_size < _INFO_HEADER or compression != _ALPHA_BITFIELDS:
        return Essence(data)
    (pixels,) = struct.unpack_from("<I", data, 10)
    end = _FILE_HEADER + _INFO_HEADER
    info = struct.pack("<I", _V4_HEADER) + data[_FILE_HEADER + 4 : end]
    info = info[:16] + struct.pack("<I", _BITFIELDS) + info[20:]
    body = (info + data[end : end + 16]).ljust(_V4_HEADER, b"\0") + data[pixels:]
    return Essence(data[:10] + struct.pack("<I", _FILE_HEADER + _V4_HEADER) + body)
