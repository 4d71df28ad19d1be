"""What the format readers let through to Pillow, and what they refuse before it."""

import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from app.errors import InvalidImage
from app.images import decoder
from app.images.formats import gif, jpeg
from app.images.formats import png as png_file
from app.images.formats.exif import orientation
from loadtests.pictures import Pixels, blocks, chunk, encode, exif, limits, noise, png, with_segment


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


@pytest.mark.parametrize("format_", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
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
    for format_ in ("PNG", "JPEG", "WEBP", "GIF", "BMP"):
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
