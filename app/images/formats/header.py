"""Detects the image format by content, never by a declared type, reads WebP sizes, and has what all formats share."""

import struct
from dataclasses import dataclass
from typing import Literal

Format = Literal["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF"]

_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1"})


class MalformedError(ValueError):
    """The bytes are not a valid image. The message is written for clients."""


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """Width and height as stored, before EXIF rotation."""

    format: Format
    width: int
    height: int

    @property
    def pixels(self) -> int:
        return self.width * self.height


@dataclass(frozen=True, slots=True)
class Essence:
    """An image file stripped to what its pixels need. Pillow never gets any metadata: it parses them in Python, and the
    sender controls the time and memory that this takes (compressed texts and profiles, EXIF tables, comment chains)."""

    body: bytes
    orientation: int = 1
    # A PNG's transparent colour as stored, and its bits per sample.
    transparent: tuple[int, ...] | None = None
    depth: int = 8
    # Whether the file has no end mark, so that it may be cut short: see `decoder.decode`.
    unended: bool = False


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
    if data.startswith((b"II*\0", b"MM\0*")):
        return "TIFF"
    if data[4:8] == b"ftyp":
        # The major brand, a version, and compatible brands.
        box = data[8 : min(int.from_bytes(data[:4]), 256)]
        brands = {box[i : i + 4] for i in range(0, len(box), 4)}
        if brands & _AVIF_BRANDS:
            return "AVIF"
        if brands & _HEIF_BRANDS:
            return "HEIF"
    raise MalformedError("This is not a PNG, JPEG, WebP, GIF, BMP, TIFF, AVIF or HEIC image.")


def webp_size(data: bytes) -> tuple[int, int]:
    """The size of the canvas; libwebp itself rejects frames that exceed it."""
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
    raise MalformedError("The WebP file contains no picture.")
