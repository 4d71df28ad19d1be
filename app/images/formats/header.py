"""What the first bytes of an image say: its format and size, and the two formats that need no more.

Here: sniffing, BMP and WebP sizes, and the types that `gif`, `jpeg` and `png` share. Not here: Pillow (only
`images` decodes), limits (`images` holds sizes against them), anything that believes a declared media type.
"""

import struct
from dataclasses import dataclass
from typing import Literal

Format = Literal["PNG", "JPEG", "WEBP", "GIF", "BMP"]

_RLE = (1, 2)


class MalformedError(ValueError):
    """The bytes are no usable image; the message is fit for a client."""


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """Width and height as stored, before any EXIF turn."""

    format: Format
    width: int
    height: int

    @property
    def pixels(self) -> int:
        return self.width * self.height


@dataclass(frozen=True, slots=True)
class Essence:
    """An image file without whatever its pixels do not need.

    Pillow reads metadata in Python, with warnings, and in time and memory that the sender chooses (compressed
    text and colour profiles, EXIF tables, comment chains, frame lists). What it never gets can't harm it.
    """

    body: bytes
    orientation: int = 1
    # PNG's one transparent grey or colour, as stored, and the bits per sample it is stored in.
    transparent: tuple[int, ...] | None = None
    depth: int = 8


def sniff(data: bytes) -> Format:
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "WEBP"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "GIF"
    if data.startswith(b"BM"):
        return "BMP"
    raise MalformedError("This is not a PNG, JPEG, WebP, GIF or BMP image.")


def bmp_size(data: bytes) -> tuple[int, int]:
    (header_size,) = struct.unpack_from("<I", data, 14)
    if header_size == 12:
        width, height = struct.unpack_from("<HH", data, 18)
        return width, height
    width, height, compression = struct.unpack_from("<ii4xI", data, 18)
    if compression in _RLE:
        # Pillow unpacks these pixel by pixel in Python: 8 kB of file can hold the interpreter for seconds.
        raise MalformedError("Run-length compressed BMP is not supported; send it uncompressed or as PNG.")
    # A negative height says that the rows run from the top.
    return width, abs(height)


def webp_size(data: bytes) -> tuple[int, int]:
    """The canvas; libwebp itself refuses frames that do not fit it."""
    kind = data[12:16]
    if kind == b"VP8X":
        wide, high = int.from_bytes(data[24:27], "little"), int.from_bytes(data[27:30], "little")
        return wide + 1, high + 1
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    raise MalformedError("The WebP file holds no picture.")
