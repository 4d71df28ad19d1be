"""Decodes image files to RGB within limits. No other module opens images.

The format is sniffed and the size is read before Pillow sees any data. Pillow may then try only this format, and gets
a file that is stripped to what the pixels need. Side effects on it: the plugins of these formats are loaded, and
`Image.MAX_IMAGE_PIXELS` is raised (never lowered) if `Limits.image_pixels` allows more."""

import hashlib
import io
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any

import numpy as np
from PIL import Image, ImageFile

from app.config.args import Limits
from app.errors import InvalidImage, PayloadTooLarge
from app.images.formats import bmp, exif, gif, heif, jpeg, png, tiff
from app.images.formats.header import Essence, Format, ImageHeader, MalformedError, sniff, webp_size
from app.images.preprocessing import Preprocessing

# Of each format, what reads the size, and what leaves only what the pixels need.
_FORMATS: dict[Format, tuple[Callable[[bytes], tuple[int, int]], Callable[[bytes], Essence]]] = {
    "PNG": (png.size, png.essence),
    "JPEG": (jpeg.size, jpeg.essence),
    "WEBP": (webp_size, Essence),
    "GIF": (gif.size, gif.essence),
    "BMP": (bmp.size, bmp.essence),
    "TIFF": (tiff.size, tiff.essence),
    "AVIF": (heif.size, Essence),
    "HEIF": (heif.size, Essence),
}
for _plugin in ("Avif", "Bmp", "Gif", "Jpeg", "Png", "Tiff", "WebP"):
    import_module(f"PIL.{_plugin}ImagePlugin")
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True, slots=True)
class DecodedImage:
    """`digest`: identifies the decoded pixels, whatever their file format. `crop`: RGB bytes that the model reads."""

    digest: bytes
    crop: bytes


Decoder = Callable[[bytes, Preprocessing, Limits, str], DecodedImage]


def decode_crop(data: bytes, preprocessing: Preprocessing, limits: Limits, param: str) -> DecodedImage:
    """Decode a file to the crop that a model reads. Raises the errors of `decode`."""
    picture = decode(data, limits, param=param)
    content = struct.pack(">II", *picture.size) + picture.tobytes()
    return DecodedImage(hashlib.blake2b(content, digest_size=32).digest(), preprocessing.fit(picture))


def read_header(data: bytes, limits: Limits, *, param: str) -> ImageHeader:
    """Read the format and size, without decoding a pixel. Raises PayloadTooLarge beyond the `limits` of bytes or
    pixels, InvalidImage if it is no image of an allowed format."""
    if len(data) > limits.image_bytes:
        raise PayloadTooLarge(f"The image has {len(data)} bytes; the limit is {limits.image_bytes}.", param)
    if not data:
        raise InvalidImage("The image is empty.", param)
    try:
        format_ = sniff(data)
        width, height = _FORMATS[format_][0](data)
    except MalformedError as error:
        raise InvalidImage(str(error), param) from error
    except (struct.error, IndexError) as error:
        raise InvalidImage("The image ends before its header does.", param) from error
    size = f"{width} x {height} pixels"
    if width < 1 or height < 1:
        raise InvalidImage(f"The image's size is {size}.", param)
    header = ImageHeader(format_, width, height)
    if header.pixels > limits.image_pixels:
        raise PayloadTooLarge(f"The image has {size}; the limit is {limits.image_pixels} in total.", param)
    return header


def decode(data: bytes, limits: Limits, *, param: str) -> Image.Image:
    """Decode to an upright RGB picture: first frame, transparency over white, 16 bits truncated to the upper 8.
    Raises as `read_header`, also if there is not enough memory for the pixels, or they can't be decoded."""
    header = read_header(data, limits, param=param)
    if Image.MAX_IMAGE_PIXELS is not None and limits.image_pixels > Image.MAX_IMAGE_PIXELS:
        # Otherwise Pillow would warn about sizes that the operator has allowed.
        Image.MAX_IMAGE_PIXELS = limits.image_pixels
    try:
        essence = _FORMATS[header.format][1](data)
        if not essence.unended:
            return _decode(essence, header)
        with_end, filled = (
            _decode(replace(essence, body=essence.body + end), header) for end in jpeg.ends(essence.body)
        )
        if with_end.tobytes() != filled.tobytes():
            raise MalformedError("The JPEG is truncated.")
        return with_end
    except MalformedError as error:
        raise InvalidImage(str(error), param) from error
    except (MemoryError, Image.DecompressionBombError) as error:
        raise PayloadTooLarge("The image is too large to decode; send a smaller one.", param) from error
    except Exception as error:
        # Pillow's decoders raise a dozen types for invalid files, from SyntaxError to struct.error.
        raise InvalidImage(f"The {header.format} image is damaged or cut short.", param) from error


def _decode(essence: Essence, header: ImageHeader) -> Image.Image:
    image = _open(essence, header)
    turn = essence.orientation
    if header.format in ("WEBP", "AVIF"):
        turn = exif.orientation(image.info.get("exif") or b"")
    frame = image.tile[0].extents if header.format == "GIF" else None
    image.load()
    # Programs that know no alpha write zeros.
    is_opaque = header.format == "BMP" and image.mode == "RGBA" and image.getchannel("A").getextrema() == (0, 0)
    rgb = _rgb(image.convert("RGB") if is_opaque else image, _key_mask(image, essence, header))
    if frame is not None and frame != (0, 0, *image.size):
        # A GIF's canvas is transparent outside of its first frame, but Pillow fills it with colour 0.
        rgb, inner = Image.new("RGB", rgb.size, "white"), rgb.crop(frame)
        rgb.paste(inner, frame)
    rgb.info = {}
    return rgb.transpose(_TURNS[turn]) if turn in _TURNS else rgb


def _open(essence: Essence, header: ImageHeader) -> ImageFile.ImageFile:
    if header.format == "HEIF" and "HEIF" not in Image.OPEN:
        try:
            from pillow_heif import register_heif_opener
        except ImportError:
            message = "HEIC images need the package `pillow-heif` on the server; send JPEG or PNG, or ask its operator."
            raise MalformedError(message) from None
        register_heif_opener(thumbnails=False)
    image = Image.open(io.BytesIO(essence.body), formats=(header.format,))
    if header.format == "HEIF" and image.width * image.height <= header.pixels:
        return image  # already upright, and cropped from whole blocks
    if image.size != (header.width, header.height):
        # The limits were checked against our reading of the size, so no other size may be decoded.
        raise MalformedError("The image contains contradicting sizes.")
    return image


def _rgb(image: Image.Image, alpha: Image.Image | None) -> Image.Image:
    if image.mode.startswith("I;16"):
        # Pillow's conversion would clip all values above 255. Its 16-bit colour decoders keep the upper byte.
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        message = "Images with 32 bits per sample are not supported: nobody can tell which of them are white."
        raise MalformedError(message)
    if alpha is None and ("transparency" in image.info or image.mode in ("LA", "RGBA", "RGBa")):
        alpha = image = image.convert("RGBA")
    if alpha is None:
        return image if image.mode == "RGB" else image.convert("RGB")
    white = Image.new("RGB", image.size, "white")
    white.paste(image, mask=alpha)
    return white


def _key_mask(image: Image.Image, essence: Essence, header: ImageHeader) -> Image.Image | None:
    """A mask that is opaque except where the pixels have a PNG's transparent colour."""
    if essence.transparent is None:
        return None
    top = (1 << essence.depth) - 1
    # Pillow scales the samples to 8 bits but not the key, so the key is scaled here.
    key = [value & top for value in essence.transparent]
    if essence.depth < 8:
        key = [value * 255 // top for value in key]
    if essence.depth == 16 and image.mode == "RGB":
        # Pillow has decoded the upper bytes. A second pass with the other byte order decodes the lower bytes.
        lower = _open(essence, header)
        lower.tile = [tile._replace(args="RGB;16L") for tile in lower.tile]
        lower.load()
        same = _equal(image, [value >> 8 for value in key]) & _equal(lower, [value & 0xFF for value in key])
    else:
        same = _equal(image.convert("L") if image.mode == "1" else image, key)
    return Image.fromarray(np.where(same, np.uint8(0), np.uint8(255)))


def _equal(image: Image.Image, key: Sequence[int]) -> Any:
    """Where every channel equals its key; channel by channel, because numpy is slow along an axis of length three."""
    pairs = zip(image.split(), key, strict=True)
    return np.logical_and.reduce([np.asarray(channel) == value for channel, value in pairs])
