"""Files made to cost much or to be taken for something else. Values of honest files are in test_images."""

import ast
import io
import struct
import time
import tracemalloc
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from app.errors import InvalidImage, PayloadTooLarge, ServiceError
from app.images import decoder
from loadtests.pictures import blocks, chunk, encode, every_format, exif, limits, noise, png, with_segment

ROOT = Path(__file__).parents[3]
LIMITS = limits()
APP1, APP15, SOS = 0xE1, 0xEF, b"\xff\xda"


def refused(data: bytes, error: type[ServiceError] = InvalidImage, **changes: int) -> str:
    with pytest.raises(error) as caught:
        decoder.decode(data, limits(**changes), param="images.3")
    assert caught.value.param == "images.3"
    message = caught.value.message
    assert not any(word in message for word in ("PIL", "app.", "0x", "/", "Error", "object"))
    return message


def stretched(format_: str, width: int, height: int) -> bytes:
    """A small file whose header claims another size."""
    data = bytearray(encode(noise(), format_))
    if format_ == "PNG":
        return png(width, height, 8, 2, b"\0" * 64)
    if format_ == "JPEG":
        frame = data.index(b"\xff\xc0")
        data[frame + 5 : frame + 9] = struct.pack(">HH", height, width)
    elif format_ == "WEBP":
        data[26:30] = struct.pack("<HH", width, height)
    elif format_ == "GIF":
        data[6:10] = struct.pack("<HH", width, height)
    else:
        data[18:26] = struct.pack("<ii", width, height)
    return bytes(data)


@pytest.mark.parametrize("format_", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
def test_pixels_are_counted_before_decoding(format_: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "open", lambda *_, **__: pytest.fail("decoded"))
    data = stretched(format_, 16383, 16383)
    assert refused(data, PayloadTooLarge) == "The image has 16383 x 16383 pixels; the limit is 50000000 in total."
    refused(stretched(format_, 17, 13), PayloadTooLarge, image_pixels=220)
    assert decoder.read_header(stretched(format_, 17, 13), limits(image_pixels=221), param="p").pixels == 221


def test_sizes_beyond_16_bits() -> None:
    refused(stretched("PNG", 2**31 - 1, 2**31 - 1), PayloadTooLarge)
    refused(stretched("BMP", 2**31 - 1, -(2**31)), PayloadTooLarge)
    canvas = b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + b"\xff" * 6
    refused(canvas, PayloadTooLarge)


def test_gif_frame_counts_as_well_as_its_canvas(monkeypatch: pytest.MonkeyPatch) -> None:
    # Pillow reserves such a frame on opening, before anybody can ask for the size.
    data = bytearray(encode(noise(), "GIF"))
    frame = data.index(b",\0\0\0\0\x10\0\x0c\0")
    data[frame + 5 : frame + 9] = struct.pack("<HH", 13000, 13000)
    monkeypatch.setattr(Image, "open", lambda *_, **__: pytest.fail("decoded"))
    refused(bytes(data), PayloadTooLarge)


@pytest.mark.parametrize("format_", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
def test_empty_pictures(format_: str) -> None:
    for size in ((0, 5), (5, 0)):
        data = stretched(format_, *size)
        if format_ == "GIF":
            frame = data.index(b",\0\0\0\0\x10\0\x0c\0")
            data = data[: frame + 5] + struct.pack("<HH", *size) + data[frame + 9 :]
        assert refused(data) == f"The image's size is {size[0]} x {size[1]} pixels."


def test_bytes_are_counted() -> None:
    data = encode(noise(), "PNG")
    assert refused(data, PayloadTooLarge, image_bytes=len(data) - 1).endswith(f"the limit is {len(data) - 1}.")
    decoder.decode(data, limits(image_bytes=len(data)), param="p")
    assert refused(b"") == "The image is empty."


@pytest.mark.parametrize("name", every_format())
def test_a_cut_file_is_never_a_wrong_picture(name: str) -> None:
    data = every_format()[name]
    whole = decoder.decode(data, LIMITS, param="p").tobytes()
    pictures = 0
    for end in range(len(data)):
        try:
            assert decoder.decode(data[:end], LIMITS, param="p").tobytes() == whole
            pictures += 1
        except InvalidImage:
            continue
    # Only what follows the first frame's pixels may be missing: checksums, later frames, end marks, a BMP row's end.
    rest = {"gif": 2, "gif-animated": len(data), "bmp-bit": 2, "png-animated": len(data)}
    kind = name.partition("-")[0]
    assert pictures <= rest.get(name, {"png": 20, "jpeg": 2, "tiff": len(data) - 1}.get(kind, 0))


def zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.png", encode(noise(), "PNG"))
    return file.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
        b"<!DOCTYPE html><html><img src=x></html>",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n",
        b"\xc5\xd0\xd3\xc6" + b"\0" * 60,
        b"%PDF-1.7\n",
        zipped(),
        encode(noise(), "ICO"),
        encode(noise(), "PPM"),
        encode(noise(), "JPEG2000"),
        b"\0\0\0\x14ftypqt  \0\0\0\0qt  ",
        b"\0" * 100,
        b"hello",
        b" " + encode(noise(), "PNG"),
        b"RIFF\4\0\0\0WAVE",
    ],
)
def test_other_formats_in_disguise(data: bytes) -> None:
    assert refused(data) == "This is not a PNG, JPEG, WebP, GIF, BMP, TIFF, AVIF or HEIC image."


def test_compressed_metadata_is_never_inflated() -> None:
    bomb = zlib.compress(b"\0" * 2**26, 9)
    extra = chunk(b"iCCP", b"x\0\0" + bomb) + chunk(b"zTXt", b"x\0\0" + bomb) * 20
    data = png(1, 1, 8, 2, b"\0\1\2\3", extra + chunk(b"iTXt", b"x\0\1\0\0\0" + bomb))
    tracemalloc.start()
    image = decoder.decode(data, LIMITS, param="p")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert image.tobytes() == b"\1\2\3"
    assert peak < 2 * len(data) + 2**20


def test_exif_tables_are_not_loaded() -> None:
    entries = b"".join(struct.pack("<HHII", i, 7, 60_000, 8) for i in range(1000, 5000))
    table = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 4000) + entries
    data = with_segment(encode(blocks(), "JPEG"), APP1, table.ljust(65_000, b"\0"))
    tracemalloc.start()
    assert decoder.decode(data, LIMITS, param="p").size == (48, 32)
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


def test_counts_that_a_sender_chooses() -> None:
    jpeg = encode(blocks(), "JPEG", progressive=True)
    assert refused(with_segment(jpeg, APP15, b"", 5000)) == "The JPEG has too many segments."
    scan = jpeg[jpeg.rindex(SOS) : -2]
    assert refused(jpeg[:-2] + scan * 64 + jpeg[-2:]) == "The JPEG has more than 64 scans."
    assert "too many chunks" in refused(png(1, 1, 8, 2, b"\0\1\2\3", chunk(b"tEXt", b"") * 70_000))
    gif = encode(noise(), "GIF")
    start = 13 + 3 * 256
    assert "too many blocks" in refused(gif[:start] + b"!\xfe" + b"\1c" * 100_000 + b"\0" + gif[start:])


def test_run_length_bmp_is_refused() -> None:
    # 8 kB of line ends keep Pillow's Python decoder busy for seconds, at 50 million pixels.
    header = struct.pack("<2sIHHI", b"BM", 0, 0, 0, 54) + struct.pack(
        "<IiiHHIIiiII", 40, 25_000, 1900, 1, 8, 1, 0, 0, 0, 256, 0
    )
    began = time.process_time()
    assert "Run-length" in refused(header + b"\0" * 1024 + b"\1\1\0\0" * 1900)
    assert time.process_time() - began < 1  # of this process, not of the wall


def test_only_the_first_frame_is_read() -> None:
    frames = [Image.fromarray(np.roll(blocks(4), i, axis=1)) for i in range(8)]
    later = {"save_all": True, "append_images": frames[1:] * 150}
    for format_, options in (("GIF", {}), ("PNG", {}), ("WEBP", {"lossless": True, "minimize_size": False})):
        data = encode(frames[0], format_, **later, **options)
        assert np.array_equal(np.asarray(decoder.decode(data, LIMITS, param="p")), blocks(4))
    # Nothing of the second frame matters, not even whether it is one.
    gif = encode(frames[0], "GIF", **later)
    second = gif.index(b"!\xf9", gif.index(b",\0\0\0\0") + 1)
    assert np.array_equal(np.asarray(decoder.decode(gif[:second] + b"junk" * 99, LIMITS, param="p")), blocks(4))


def test_a_gifs_comments_do_not_reach_the_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow would join them block by block, in quadratic time."""
    opened: list[bytes] = []
    real = Image.open

    def noted(file: io.BytesIO, **options: Any) -> Image.Image:
        opened.append(file.getvalue())
        return real(file, **options)

    monkeypatch.setattr(Image, "open", noted)
    gif = encode(blocks(4), "GIF")
    start = gif.index(b",\0\0\0\0")
    said = gif[:start] + b"!\xfe" + b"\x05words" * 50_000 + b"\0" + gif[start:]
    assert np.array_equal(np.asarray(decoder.decode(said, LIMITS, param="p")), blocks(4))
    assert opened
    assert not [body for body in opened if b"words" in body]


def test_a_second_size_is_not_decoded() -> None:
    jpeg = encode(noise(), "JPEG")
    frame = jpeg.index(b"\xff\xc0")
    other = jpeg[frame : frame + 5] + struct.pack(">HH", 5000, 5000) + jpeg[frame + 9 : frame + 19]
    assert refused(jpeg[: frame + 19] + other + jpeg[frame + 19 :]) == "The image contains contradicting sizes."
    pixels = encode(noise(), "PNG")
    assert refused(pixels[:33] + stretched("PNG", 9, 9)[8:33] + pixels[33:]) == "The PNG has two headers."


def test_damage_is_found_by_checksum() -> None:
    data = bytearray(encode(noise(), "PNG", compress_level=0))
    data[len(data) // 2] ^= 1
    assert refused(bytes(data)) == "The PNG is damaged: a checksum does not match."


@pytest.mark.parametrize(
    ("raised", "answer"),
    [
        *((error, InvalidImage) for error in (OSError, SyntaxError, ValueError, TypeError, EOFError, KeyError)),
        *((error, InvalidImage) for error in (IndexError, OverflowError, AttributeError, struct.error)),
        *((error, InvalidImage) for error in (zlib.error, RuntimeError, AssertionError, UserWarning)),
        (MemoryError, PayloadTooLarge),
        (Image.DecompressionBombError, PayloadTooLarge),
    ],
)
def test_whatever_a_decoder_raises_is_the_files_fault(
    raised: type[Exception], answer: type[ServiceError], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise raised("PIL object at 0x7f in /srv/app.py")

    monkeypatch.setattr(Image, "open", fail)
    refused(encode(noise(), "PNG"), answer)


def test_an_allowed_size_makes_pillow_neither_warn_nor_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = every_format().values()
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    for data in samples:
        decoder.decode(data, limits(image_pixels=1000), param="p")
    assert Image.MAX_IMAGE_PIXELS == 1000
    decoder.decode(data, limits(image_pixels=500), param="p")
    assert Image.MAX_IMAGE_PIXELS == 1000


def test_exif_cannot_turn_a_file_into_another_size_than_was_counted() -> None:
    header = decoder.read_header(encode(blocks(), "PNG", exif=exif(6)), LIMITS, param="p")
    assert (header.width, header.height) == (48, 32)


def test_nothing_else_opens_images() -> None:
    for path in [*(ROOT / "app").rglob("*.py"), *(ROOT / "deployments").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and ast.unparse(node) in {"Image.open", "ImageFile.Parser"}:
                assert path.name == "decoder.py"
