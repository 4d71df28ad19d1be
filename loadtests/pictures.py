"""Image files for tests: by Pillow where it can write them, by hand where it can't."""

import base64
import io
import struct
import uuid
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.config.args import Limits

Pixels = NDArray[np.uint8]

# Colours that every format keeps apart, one per 16 x 16 block, so that JPEG's loss stays small.
_COLOURS = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0), (255, 255, 0)]


def limits(**changes: float) -> Limits:
    return Limits.model_validate(changes)


def blocks(side: int = 16) -> Pixels:
    """2 rows of 3 blocks, no two alike: every turn and flip of it differs."""
    table = np.array(_COLOURS, np.uint8).reshape(2, 3, 3)
    return table.repeat(side, axis=0).repeat(side, axis=1)


def noise(width: int = 16, height: int = 12, channels: int = 3) -> Pixels:
    return np.random.default_rng(7).integers(0, 256, (height, width, channels), np.uint8)


def encode(pixels: Pixels | Image.Image, format_: str, **options: Any) -> bytes:
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    file = io.BytesIO()
    image.save(file, format_, **options)
    return file.getvalue()


def exif(orientation: int, order: str = "<") -> bytes:
    mark = b"II" if order == "<" else b"MM"
    entry = struct.pack(order + "HHIHH", 0x0112, 3, 1, orientation, 0)
    return b"Exif\0\0" + mark + struct.pack(order + "HIH", 42, 8, 1) + entry + b"\0\0\0\0"


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(width: int, height: int, depth: int, colour: int, rows: bytes, extra: bytes = b"") -> bytes:
    """A PNG of any colour type; `rows` include the filter bytes, `extra` are chunks before the data."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def bmp_with_alpha(rgba: Pixels) -> bytes:
    """32 bits with a mask for alpha (a V4 header); Pillow reads these but writes none."""
    height, width, _ = rgba.shape
    info = struct.pack("<IiiHHIIiiII", 108, width, -height, 1, 32, 3, rgba.size, 0, 0, 0, 0)
    masks = struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000).ljust(68, b"\0")
    return struct.pack("<2sIHHI", b"BM", 122 + rgba.size, 0, 0, 122) + info + masks + rgba[..., [2, 1, 0, 3]].tobytes()


def with_checksums(data: bytes) -> bytes:
    """A damaged PNG whose checksums are right again, so that the damage gets further."""
    fixed, position = bytearray(data), 8
    while position + 12 <= len(fixed):
        end = position + 12 + int.from_bytes(fixed[position : position + 4])
        if end > len(fixed):
            break
        fixed[end - 4 : end] = zlib.crc32(fixed[position + 4 : end - 4]).to_bytes(4)
        position = end
    return bytes(fixed)


def with_segment(jpeg: bytes, marker: int, content: bytes, times: int = 1) -> bytes:
    """A JPEG with more segments right after its first mark."""
    segment = struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content
    return jpeg[:2] + segment * times + jpeg[2:]


def every_format() -> dict[str, bytes]:
    """One small file of each kind that the decoders treat differently."""
    rgb, grey = noise(), noise(channels=1)[:, :, 0]
    rgba = noise(channels=4)
    palette = Image.fromarray(blocks(4)).quantize(8)
    cmyk = Image.frombytes("CMYK", (16, 12), rgba.tobytes())
    rows16 = b"".join(b"\0" + row.tobytes() for row in noise(16, 12, 2))
    rows48 = b"".join(b"\0" + row.tobytes() for row in noise(16, 12, 6))
    frames = [Image.fromarray(np.roll(blocks(4), i, axis=1)) for i in range(3)]
    return {
        "png": encode(rgb, "PNG"),
        "png-alpha": encode(rgba, "PNG"),
        "png-grey": encode(grey, "PNG"),
        "png-palette": encode(palette, "PNG", transparency=1),
        "png-16-grey": png(16, 12, 16, 0, rows16, chunk(b"tRNS", b"\1\2")),
        "png-16-rgb": png(16, 12, 16, 2, rows48, chunk(b"tRNS", b"\1\2\3\4\5\6")),
        "png-animated": encode(frames[0], "PNG", save_all=True, append_images=frames[1:]),
        "jpeg": encode(rgb, "JPEG", exif=exif(6)),
        "jpeg-progressive": encode(rgb, "JPEG", progressive=True),
        "jpeg-grey": encode(grey, "JPEG"),
        "jpeg-cmyk": encode(cmyk, "JPEG"),
        "webp": encode(rgb, "WEBP", exif=exif(3)),
        "webp-lossless": encode(rgba, "WEBP", lossless=True),
        "webp-animated": encode(frames[0], "WEBP", save_all=True, append_images=frames[1:]),
        "gif": encode(palette, "GIF", transparency=1),
        "gif-animated": encode(frames[0], "GIF", save_all=True, append_images=frames[1:], comment=b"c"),
        "bmp": encode(rgb, "BMP"),
        "bmp-palette": encode(palette, "BMP"),
        "bmp-alpha": bmp_with_alpha(rgba),
        "tiff": encode(rgb, "TIFF"),
        "tiff-pages": encode(frames[0], "TIFF", save_all=True, append_images=frames[1:], compression="tiff_lzw"),
        "tiff-deflate-alpha": encode(rgba, "TIFF", compression="tiff_adobe_deflate"),
        "tiff-jpeg": encode(rgb, "TIFF", compression="jpeg"),
        "tiff-fax": encode(Image.fromarray(grey).convert("1"), "TIFF", compression="group4"),
        "tiff-palette": encode(palette, "TIFF", compression="packbits"),
        "avif": encode(rgb, "AVIF", exif=exif(6)),
        "avif-alpha": encode(rgba, "AVIF"),
        "avif-animated": encode(frames[0], "AVIF", save_all=True, append_images=frames[1:]),
        "bmp-bit": encode(Image.fromarray(grey).convert("1"), "BMP"),
    }


def picture(seed: int, size: tuple[int, int] = (40, 30)) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8))


def file_of(image: Image.Image, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def fresh_seed() -> int:
    return uuid.uuid4().int % 2**32
