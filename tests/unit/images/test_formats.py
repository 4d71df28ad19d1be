"""What the format readers let through to Pillow, and what they refuse before it."""

import struct
import sys
import zlib
from typing import Any

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from app.errors import InvalidImage, PayloadTooLarge
from app.images import decoder
from app.images.formats import gif, jpeg
from app.images.formats import png as png_file
from app.images.formats.exif import orientation
from loadtests.pictures import Pixels, blocks, bmp_with_alpha, chunk, encode, exif, limits, noise, png, with_segment


def decode(data: bytes) -> Pixels:
    return np.asarray(decoder.decode(data, limits(), param="images.0"))


@pytest.mark.parametrize(
    "block",
    [
        exif(0),
        exif(9),
        exif(6).replace(b"\x12\1\3\0", b"\x12\1\4\0"),
        exif(6)[:20],
        b"Exif\0\0II*\0\xff\xff\xff\xff",
        b"Exif\0\0",
    ],
)
def test_unreadable_exif_is_upright(block: bytes) -> None:
    assert orientation(block) == orientation(block[6:]) == 1
    data = with_segment(encode(blocks(), "JPEG", quality=95, subsampling=0), 0xE1, block)
    assert decode(data).shape == (32, 48, 3)


@pytest.mark.parametrize("format_", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_what_follows_the_picture_is_ignored(format_: str) -> None:
    data = encode(noise(), format_)
    garbage = b"PK\3\4" + data + b"\xff\xd9\xff\xda;IEND" * 500
    assert np.array_equal(decode(data + garbage), decode(data))
    if format_ in ("PNG", "JPEG"):
        # Pillow does not even see it.
        essence = {"PNG": png_file.essence, "JPEG": jpeg.essence}[format_]
        assert essence(data + garbage) == essence(data)


def test_pillow_gets_one_format_and_no_metadata(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    really_open = Image.open

    def watched(file: Any, **options: Any) -> Any:
        seen.append(options)
        return really_open(file, **options)

    monkeypatch.setattr(Image, "open", watched)
    for format_ in ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"):
        decode(encode(noise(), format_))
        assert seen.pop() == {"formats": (format_,)}
    assert b"secret" not in gif.essence(encode(blocks(), "GIF", comment=b"secret")).body
    assert b"secret" not in jpeg.essence(encode(blocks(), "JPEG", comment=b"secret")).body
    assert b"Exif" not in jpeg.essence(encode(blocks(), "JPEG", exif=exif(1))).body


def test_png_that_needs_more_than_it_has() -> None:
    header = png(16, 12, 8, 2, b"")[:33]
    half = chunk(b"IDAT", zlib.compress(noise(48, 12).tobytes(), 0)[:300])
    stream_cut_short = header + half + chunk(b"IEND", b"")
    for data, words in (
        (png(1, 1, 8, 2, b"\0\1\2\3", chunk(b"CgBI", b"\0\0\0\0")), "extension"),
        (png(1, 1, 8, 3, b"\0\0"), "no picture"),
        (png(1, 1, 8, 2, b"")[:33] + chunk(b"IEND", b""), "no picture"),
        (stream_cut_short, "damaged or cut short"),
        (png(1, 1, 7, 2, b"\0\1\2\3"), "damaged or cut short"),
    ):
        with pytest.raises(InvalidImage, match=words):
            decode(data)


def test_a_jpeg_without_an_end_mark_is_whole_or_refused() -> None:
    for options in ({}, {"progressive": True}, {"restart_marker_blocks": 2}, {"subsampling": 0}):
        data = encode(noise(64, 48), "JPEG", **options)
        whole = decode(data)
        for tail in (b"", b"\xff", b"\0" * 5000):
            assert np.array_equal(decode(data[:-2] + tail), whole)
        cut = data[: len(data) * 2 // 3]
        for tail in (b"", b"\0" * 5000):
            with pytest.raises(InvalidImage, match="truncated"):
                decode(cut + tail)


def test_a_progressive_jpeg_cut_between_two_scans_is_refused() -> None:
    data = encode(noise(64, 48), "JPEG", progressive=True)
    scans = [at for at in range(len(data)) if data[at : at + 2] == b"\xff\xda"]
    assert len(scans) > 3
    for start in scans[1:]:
        with pytest.raises(InvalidImage, match="truncated"):
            decode(data[:start])


def test_a_jpeg_cut_where_a_restart_mark_is_due_is_refused() -> None:
    pixels = noise(64, 48)
    for options in ({}, {"subsampling": 0}, {"quality": 30}):
        data = encode(pixels, "JPEG", restart_marker_blocks=1, **options)
        assert np.array_equal(decode(data[:-2]), decode(data))
        marks = [at for at in range(len(data)) if data[at] == 0xFF and data[at + 1] in range(0xD0, 0xD8)]
        for at in marks[:3] + marks[-9:]:  # each of the eight marks comes last once
            for cut in (data[:at], data[: at + 1], data[: at + 2]):
                with pytest.raises(InvalidImage, match="truncated"):
                    decode(cut)


def test_a_png_without_its_end_or_with_a_wrong_one_is_whole() -> None:
    data = encode(noise(), "PNG")
    whole = decode(data)
    wrong_checksum = data[:-1] + bytes([data[-1] ^ 1])
    for damaged in (
        data[:-14],  # half of the pixels' own checksum
        data[:-16],
        data[:-18],  # and of that of their compression
        data[:-12],
        data[:-1],
        wrong_checksum,
        data[:-12] + b"\0\0\0\x09tEXtcut",
        wrong_checksum + b"x" * 50,
        data[:-12] + bytes(5000),
        data[:-12] + b"\r\n\r\n\r\n\r\n\r\n\r\n",
    ):
        assert np.array_equal(decode(damaged), whole)


def test_a_png_cut_between_two_parts_of_its_pixels_is_refused() -> None:
    data = encode(noise(64, 48), "PNG")
    start = data.index(b"IDAT") - 4
    length = int.from_bytes(data[start : start + 4])
    pixels = data[start + 8 : start + 8 + length]
    head, end = data[:start], data[-12:]
    parts = [chunk(b"IDAT", pixels[at : at + 1000]) for at in range(0, length, 1000)]
    assert np.array_equal(decode(head + b"".join(parts)), decode(data))
    for count in range(len(parts)):
        for tail in (b"", end):
            with pytest.raises(InvalidImage):
                decode(head + b"".join(parts[:count]) + tail)


def test_a_bmp_whose_alpha_is_zero_everywhere_is_opaque() -> None:
    rgba = noise(channels=4)
    rgba[..., 3] = 0
    assert np.array_equal(decode(bmp_with_alpha(rgba)), rgba[..., :3])
    rgba[0, 0, 3] = 255
    shown = decode(bmp_with_alpha(rgba))
    assert np.array_equal(shown[0, 0], rgba[0, 0, :3])
    assert (shown.reshape(-1, 3)[1:] == 255).all()


def test_a_bmp_with_alpha_masks_after_a_short_header() -> None:
    rgba = noise(channels=4)
    v4 = bmp_with_alpha(rgba)
    info = struct.pack("<I", 40) + v4[18:54]
    info = info[:16] + struct.pack("<I", 6) + info[20:]
    short = v4[:10] + struct.pack("<I", 70) + info + v4[54:70] + v4[122:]
    assert np.array_equal(decode(short), decode(v4))
    for size in (56, 108, 124):
        longer = (struct.pack("<I", size) + info[4:] + v4[54:70]).ljust(size, b"\0")
        data = v4[:10] + struct.pack("<I", 14 + size) + longer + v4[122:]
        assert np.array_equal(decode(data), decode(v4))


def test_a_tiff_is_its_first_page_upright() -> None:
    first, second = blocks(), blocks()[::-1]
    for compression in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"):
        data = encode(
            Image.fromarray(first),
            "TIFF",
            save_all=True,
            append_images=[Image.fromarray(second)],
            compression=compression,
        )
        assert np.array_equal(decode(data), first)
    turned = encode(Image.fromarray(first), "TIFF", tiffinfo={274: 6})
    assert np.array_equal(decode(turned), np.rot90(first, -1))
    deep = np.full((4, 4), 200 << 8, np.uint16)
    assert (decode(encode(Image.fromarray(deep), "TIFF")) == 200).all()
    with pytest.raises(InvalidImage, match="32 bits"):
        decode(encode(Image.fromarray(np.ones((4, 4), np.float32)), "TIFF"))


def test_an_avif_is_its_first_picture_upright() -> None:
    data = encode(blocks(), "AVIF", quality=100, subsampling="4:4:4")
    assert np.abs(decode(data).astype(int) - blocks()).max() <= 4
    turned = decode(encode(blocks(), "AVIF", quality=100, subsampling="4:4:4", exif=exif(6)))
    assert np.abs(turned.astype(int) - np.rot90(blocks(), -1)).max() <= 4
    pixels = noise(64, 48)
    with pytest.raises(PayloadTooLarge, match="64 x 48 pixels"):
        decoder.decode(encode(pixels, "AVIF"), limits(image_pixels=64 * 48 - 1), param="p")


def test_a_heic_is_upright() -> None:
    pillow_heif.register_heif_opener()
    for options, wanted in (({}, blocks()), ({"exif": exif(6)}, np.rot90(blocks(), -1))):
        shown = decode(encode(blocks(), "HEIF", quality=100, chroma=444, **options))
        assert np.abs(shown.astype(int) - wanted).max() <= 4


def test_heic_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    pillow_heif.register_heif_opener()
    data = encode(blocks(), "HEIF")
    monkeypatch.delitem(Image.OPEN, "HEIF")
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(InvalidImage, match="`pillow-heif`"):
        decode(data)
