"""Parses JPEG segments: reads size and orientation, and strips metadata."""

import re
import struct
from collections.abc import Iterator

from app.images.formats import exif
from app.images.formats.header import Essence, MalformedError

# Progressive files have about ten scans. Each one costs a pass over all pixels, however small it is.
_MAX_SCANS = 64
_MAX_SEGMENTS = 4096
_COEFFICIENTS = 64

END = b"\xff\xd9"
_PIXELS = bytes(range(0x95, 0xD5)) * 16

_EOI, _SOS, _APP0, _APP1, _APP14, _APP15, _COM = 0xD9, 0xDA, 0xE0, 0xE1, 0xEE, 0xEF, 0xFE
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_WITH_LENGTH = frozenset({*range(0xC0, 0xC8), *range(0xC9, 0xD0), *range(0xDA, 0xF0), _COM})
# Inside a scan, 0xFF is followed by 0 (an escaped 0xFF), a restart marker, or another 0xFF (padding).
_MARKER = re.compile(rb"\xff([^\x00\xff\xd0-\xd7])")


def size(data: bytes) -> tuple[int, int]:
    for marker, start, _ in _segments(data):
        if marker in _FRAMES:
            height, width = struct.unpack_from(">HH", data, start + 5)
            return width, height
    raise MalformedError("The JPEG contains no picture.")


def essence(data: bytes) -> Essence:
    """Ends at the first end marker, which drops data that cameras append (second pictures, videos)."""
    kept = [data[:2]]
    turn = 1
    scans = first_scan = 0
    # Per component, the coefficients that have all their bits.
    exact: dict[int, set[int]] = {}
    for marker, start, end in _segments(data):
        if marker == _SOS:
            first_scan = first_scan or start
            scans += 1
            if scans > _MAX_SCANS:
                raise MalformedError(f"The JPEG has more than {_MAX_SCANS} scans.")
            _note_scan(data[start + 4 : end], exact)
        elif marker in _FRAMES and not scans:
            exact = {data[at]: set() for at in range(start + 10, end - 2, 3)}
            kept.append(data[start:end])
        elif marker == _EOI and scans:
            picture = data[first_scan:start]
            if end > len(data):
                if not all(len(coefficients) == _COEFFICIENTS for coefficients in exact.values()):
                    raise MalformedError("The JPEG is truncated.")
                # A file that was allocated before it was written may end in zeros.
                picture = picture.rstrip(b"\0")
                picture += b"\0" if picture.endswith(b"\xff") else b""
                return Essence(b"".join([*kept, picture]), turn, unended=True)
            return Essence(b"".join([*kept, picture, END]), turn)
        elif not scans:
            content = data[start + 4 : end]
            if marker == _APP1 and content.startswith(b"Exif\0\0"):
                turn = exif.orientation(content)
            if _affects_pixels(marker, content):
                kept.append(data[start:end])
    raise MalformedError("The JPEG contains no picture.")


def ends(picture: bytes) -> tuple[bytes, bytes]:
    """What may follow data without an end mark. A complete picture is the same with both; an incomplete one would take
    the second's pixels in, right away or after the restart mark that is due."""
    marks = re.findall(rb"\xff([\xd0-\xd7])", picture[picture.rindex(b"\xff\xda") :])
    due = 0xD0 + (marks[-1][0] + 1) % 8 if marks else 0xD0
    return END, _PIXELS + bytes([0xFF, due]) + _PIXELS + END


def _note_scan(header: bytes, exact: dict[int, set[int]]) -> None:
    count = header[0]
    first, last, bits = header[1 + 2 * count : 4 + 2 * count]
    if bits & 0x0F == 0:
        for component in header[1 : 1 + 2 * count : 2]:
            exact.setdefault(component, set()).update(range(first, last + 1))


def _affects_pixels(marker: int, content: bytes) -> bool:
    if marker == _APP0:
        return content.startswith(b"JFIF\0")
    if marker == _APP14:
        return content.startswith(b"Adobe")  # holds the colour space: RGB, YCbCr, CMYK or YCCK
    return not _APP1 <= marker <= _APP15 and marker != _COM


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """(marker, start, end) of each segment; scan data is between segments."""
    position = 2
    for _ in range(_MAX_SEGMENTS):
        found = _MARKER.search(data, position)
        if not found:
            # As if the end mark followed; only its place tells that it is missing.
            yield _EOI, len(data), len(data) + 2
            return
        marker, start = found[1][0], found.start()
        if marker == _EOI:
            yield marker, start, start + 2
            return
        if marker not in _WITH_LENGTH:
            raise MalformedError("The JPEG is damaged.")
        (length,) = struct.unpack_from(">H", data, start + 2)
        position = start + 2 + length
        if length < 2 or position > len(data):
            raise MalformedError("The JPEG is truncated.")
        yield marker, start, position
    raise MalformedError("The JPEG has too many segments.")
