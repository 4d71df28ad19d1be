import struct
from typing import Any

import numpy as np
import pytest
from PIL import Image

from app.errors import InvalidImage
from app.images import decoder
from app.images.preprocessing import Preprocessing
from loadtests.pictures import (
    Pixels,
    blocks,
    bmp_with_alpha,
    chunk,
    encode,
    exif,
    limits,
    noise,
    png,
)

LIMITS = limits()


def decode(data: bytes) -> Pixels:
    image = decoder.decode(data, LIMITS, param="images.0")
    assert image.mode == "RGB"
    return np.asarray(image)


def over_white(rgba: Pixels) -> Pixels:
    alpha = rgba[..., 3:].astype(float)
    blend: Pixels = np.rint((rgba[..., :3] * alpha + 255 * (255 - alpha)) / 255).astype(np.uint8)
    return blend


@pytest.mark.parametrize(
    ("format_", "options", "tolerance"),
    [
        ("PNG", {}, 0),
        ("WEBP", {"lossless": True}, 0),
        ("WEBP", {"quality": 95}, 6),
        ("GIF", {}, 0),
        ("BMP", {}, 0),
        ("JPEG", {"quality": 95, "subsampling": 0}, 3),
        ("JPEG", {"quality": 95, "subsampling": 0, "progressive": True}, 3),
    ],
)
def test_decode_colour_modes(format_: str, options: dict[str, Any], tolerance: int) -> None:
    data = encode(blocks(), format_, **options)
    header = decoder.read_header(data, LIMITS, param="images.0")
    assert (header.format, header.width, header.height, header.pixels) == (format_, 48, 32, 48 * 32)
    # Lossy WebP blurs colours where blocks meet: their middles are compared.
    difference = (decode(data).astype(int) - blocks())[8::16, 8::16]
    assert np.abs(difference).max() <= tolerance


TURNED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a, 1),
}


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", TURNED)
@pytest.mark.parametrize("format_", ["PNG", "JPEG", "WEBP"])
def test_exif_orientation(format_: str, orientation: int, order: str) -> None:
    data = encode(blocks(), format_, exif=exif(orientation, order), lossless=True, quality=95, subsampling=0)
    upright = decode(data)
    expected = TURNED[orientation](blocks())
    assert upright.shape == expected.shape
    assert np.abs(upright.astype(int) - expected).max() <= 3


def test_alpha_over_white() -> None:
    rgba = noise(channels=4)
    for data in (encode(rgba, "PNG"), bmp_with_alpha(rgba), encode(rgba, "WEBP", lossless=True, exact=True)):
        assert np.array_equal(decode(data), over_white(rgba))
    # Without a mask for it the fourth byte of a BMP means nothing.
    assert np.array_equal(decode(encode(rgba, "BMP")), rgba[..., :3])
    grey_alpha = noise(channels=2)
    as_rgba = grey_alpha[..., [0, 0, 0, 1]]
    assert np.array_equal(decode(encode(Image.fromarray(grey_alpha), "PNG")), over_white(as_rgba))


def test_palette_with_transparency() -> None:
    indices = np.arange(4, dtype=np.uint8).reshape(1, 4)
    image = Image.fromarray(indices)
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9])
    opaque = [[255, 0, 0], [0, 255, 0], [0, 0, 255], [9, 9, 9]]
    assert decode(encode(image, "PNG")).tolist() == [opaque]
    one_hole = [[opaque[0], [255, 255, 255], *opaque[2:]]]
    assert decode(encode(image, "PNG", transparency=1)).tolist() == one_hole
    assert decode(encode(image, "GIF", transparency=1)).tolist() == one_hole
    shades = [[255, 0, 0], [127, 255, 127], [255, 255, 255], [9, 9, 9]]
    assert decode(encode(image, "PNG", transparency=bytes([255, 128, 0, 255]))).tolist() == [shades]


def test_gif_frame_smaller_than_its_canvas_lies_on_white() -> None:
    data = bytearray(encode(Image.new("RGB", (2, 2), (1, 2, 3)), "GIF"))
    frame = data.index(b",\0\0\0\0\2\0\2\0")
    data[6:10] = struct.pack("<HH", 4, 3)
    data[frame + 1 : frame + 5] = struct.pack("<HH", 1, 1)
    expected = np.full((3, 4, 3), 255)
    expected[1:3, 1:3] = (1, 2, 3)
    assert np.array_equal(decode(bytes(data)), expected)
    # Sticking out, the frame widens the canvas.
    data[6:10] = struct.pack("<HH", 1, 1)
    assert np.array_equal(decode(bytes(data)), expected[:, :3])


@pytest.mark.parametrize("marker", ["with Adobe's mark", "without"])
def test_cmyk_is_not_inverted(marker: str) -> None:
    inks = np.zeros((16, 48, 4), np.uint8)
    inks[:, :16, 0] = 255  # cyan
    inks[:, 16:32] = (0, 255, 255, 0)  # red
    inks[:, 32:, 3] = 255  # black
    data = encode(Image.frombytes("CMYK", (48, 16), inks.tobytes()), "JPEG", quality=95, subsampling=0)
    adobe = data.index(b"\xff\xee\0\x0eAdobe")
    if marker == "without":
        data = data[:adobe] + data[adobe + 16 :]
    expected = np.repeat([[0, 255, 255], [255, 0, 0], [0, 0, 0]], 16, axis=0)
    assert np.abs(decode(data).astype(int) - expected).max() <= 4


def test_a_ycck_jpeg_is_decoded() -> None:
    # Stored inverted: 200 of luma, no colour, no black.
    data = encode(Image.new("CMYK", (16, 16), (55, 127, 127, 0)), "JPEG", quality=100)
    adobe = data.index(b"\xff\xee\0\x0eAdobe")
    data = data[: adobe + 15] + b"\2" + data[adobe + 16 :]
    assert np.abs(decode(data).astype(int) - 55).max() <= 3


SIXTEEN = [0, 1, 255, 256, 257, 0x7FFF, 0x80FF, 65535]


def test_16_bit_samples_are_scaled() -> None:
    expected = [value >> 8 for value in SIXTEEN]
    grey = png(8, 1, 16, 0, b"\0" + struct.pack(">8H", *SIXTEEN))
    assert decode(grey).tolist() == [[[value] * 3 for value in expected]]
    colour = png(8, 1, 16, 2, b"\0" + b"".join(struct.pack(">3H", v, 65535 - v, 258) for v in SIXTEEN))
    assert decode(colour).tolist() == [[[v >> 8, 65535 - v >> 8, 1] for v in SIXTEEN]]
    alpha = png(2, 1, 16, 4, b"\0" + struct.pack(">4H", 0x8000, 65535, 0x8000, 0))
    assert decode(alpha).tolist() == [[[128] * 3, [255] * 3]]


def test_one_transparent_colour_is_compared_as_stored() -> None:
    # (depth, colour type, samples, key) -> which pixels turn white
    low = png(4, 1, 2, 0, b"\0\x1b", chunk(b"tRNS", b"\0\2"))
    assert decode(low)[0, :, 0].tolist() == [0, 85, 255, 255]
    bits = png(8, 1, 1, 0, b"\0\x0f", chunk(b"tRNS", b"\0\0"))
    assert decode(bits)[0, :, 0].tolist() == [255] * 8
    grey = png(3, 1, 16, 0, b"\0" + struct.pack(">3H", 257, 258, 300), chunk(b"tRNS", b"\1\2"))
    assert decode(grey)[0, :, 0].tolist() == [1, 255, 1]
    rgb = png(2, 1, 8, 2, b"\0\1\2\3\1\2\4", chunk(b"tRNS", struct.pack(">3H", 1, 2, 4)))
    assert decode(rgb).tolist() == [[[1, 2, 3], [255, 255, 255]]]
    deep = b"\0" + struct.pack(">6H", 257, 2, 3, 258, 2, 3)
    rgb = png(2, 1, 16, 2, deep, chunk(b"tRNS", struct.pack(">3H", 258, 2, 3)))
    assert decode(rgb).tolist() == [[[1, 0, 0], [255, 255, 255]]]


def test_grey_and_bits() -> None:
    grey = noise(channels=1)[:, :, 0]
    threefold = grey[..., None].repeat(3, axis=2)
    assert np.array_equal(decode(encode(grey, "PNG")), threefold)
    assert np.array_equal(decode(encode(grey, "BMP")), threefold)
    assert np.array_equal(decode(encode(grey, "WEBP", lossless=True)), threefold)
    bits = Image.fromarray(grey).convert("1")
    expected = np.asarray(bits.convert("RGB"))
    for format_ in ("PNG", "BMP", "GIF"):
        assert np.array_equal(decode(encode(bits, format_)), expected)


def digest(pixels: Pixels, format_: str = "PNG", **options: Any) -> bytes:
    reads = Preprocessing(None, (8, 8), None, Image.Resampling.BICUBIC, np.zeros((3, 256), np.float32))
    return decoder.decode_crop(encode(pixels, format_, **options), reads, LIMITS, "p").digest


def test_the_digest_is_of_the_picture_and_nothing_else() -> None:
    pixels = noise()
    same = digest(pixels)
    assert same == digest(pixels, "BMP") == digest(pixels, "WEBP", lossless=True)
    assert same == digest(pixels, compress_level=1, exif=exif(1))
    near = pixels.copy()
    near[5, 5, 2] ^= 1
    assert digest(near) != same
    flat = np.full((3, 4, 3), 7, np.uint8)
    assert digest(flat) != digest(flat.reshape(4, 3, 3)) != digest(flat.reshape(6, 2, 3))


def test_the_result_carries_no_metadata() -> None:
    data = encode(noise(), "JPEG", exif=exif(1), comment="secret")
    assert decoder.decode(data, LIMITS, param="p").info == {}


def test_errors_name_the_item() -> None:
    with pytest.raises(InvalidImage) as caught:
        decoder.decode(b"", LIMITS, param="images.7")
    assert (caught.value.param, caught.value.status) == ("images.7", 400)
