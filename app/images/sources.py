"""Parses one `images` entry (base64, data URI, path or URL) and loads its bytes; `fetcher` does so of URLs."""

import binascii
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Literal

from app.config.args import Limits
from app.errors import InvalidImage, InvalidItem, PayloadTooLarge
from app.images import folder as image_folder

SourceKind = Literal["path", "url", "data", "base64"]

_FORMS = "a data URI, base64, './path' or {'path': ...}"
_DATA_HEADER = 256  # maximum length of a data URI's media type and parameters
_WHITESPACE = b" \t\r\n"
# The escapes that base64 in a URI may need. A general decoder would create an object per escape.
_ESCAPES = ((b"%2B", b"+"), (b"%2F", b"/"), (b"%3D", b"="), (b"%0D", b""), (b"%0A", b""), (b"%20", b""))


def parse(entry: object, *, param: str) -> tuple[SourceKind, str]:
    """Kind and value of an entry: a string, `{"path": ...}`, `{"url": ...}` or OpenAI's `{"image_url": ...}`. Raises
    InvalidItem if the entry is something else."""
    match entry:
        case {"image_url": inner, **rest} if rest in ({}, {"type": "image_url"}):
            entry = {"url": inner} if isinstance(inner, str) else inner
            if isinstance(entry, Mapping):
                # `detail` only concerns models that answer questions about a picture.
                entry = {key: value for key, value in entry.items() if key != "detail"}
    match entry:
        case str():
            return _kind(entry), entry
        case {"url": str(value), **rest} if not rest:
            return "data" if _kind(value) == "data" else "url", value
        case {"path": str(value), **rest} if not rest:
            return "path", value
    raise InvalidItem(f"An image must be {_FORMS}.", param)


def url_of(entry: object) -> str | None:
    """The URL of an entry; None if the entry is not a URL."""
    with suppress(InvalidItem):
        kind, value = parse(entry, param="")
        return value if kind == "url" else None
    return None


def load(entry: object, *, folder: Path | None, limits: Limits, param: str) -> bytes:
    """The bytes of an entry, at most `limits.image_bytes`; it may read a file. Who fetches URLs checks `url_of` before.

    Raises:
        InvalidItem: The entry is not an image source.
        InvalidImage: The bytes can't be loaded.
        PayloadTooLarge: There are too many bytes; checked before base64 is decoded and before files are read.
    """
    kind, value = parse(entry, param=param)
    match kind:
        case "path":
            return image_folder.read(value, folder=folder, limits=limits, param=param)
        case "url":
            raise InvalidImage(f"Image URLs are disabled; send the image itself as {_FORMS}.", param)
        case "data":
            return _data_uri(value, limits, param)
        case "base64":
            return _base64(value, limits, param)


def _kind(text: str) -> SourceKind:
    # The base64 of a JPEG starts with "/9j/", so absolute paths are not recognized as paths.
    if text.startswith("./"):
        return "path"
    if text[:4].lower() == "http":
        return "url"
    if text[:5].lower() == "data:":
        return "data"
    return "base64"


def _data_uri(uri: str, limits: Limits, param: str) -> bytes:
    comma = uri.find(",", 0, _DATA_HEADER)
    if comma < 0:
        raise InvalidImage("The data URI has no comma after its media type.", param)
    # The media type does not matter: the format is sniffed. Browsers write none, or octet-stream, for unknown files.
    if not uri[:comma].lower().rstrip().replace(" ", "").endswith(";base64"):
        raise InvalidImage("The data URI must be base64, e.g. 'data:image/png;base64,...'.", param)
    return _base64(uri[comma + 1 :], limits, param, percent=True)


def _base64(text: str, limits: Limits, param: str, *, percent: bool = False) -> bytes:
    too_large = PayloadTooLarge(f"The image has too many bytes; at most {limits.image_bytes:,} are allowed.", param)
    not_base64 = InvalidImage(f"This is not base64. An image must be {_FORMS}.", param)
    # 4 characters encode 3 bytes; line breaks or escapes may double their number. Longer texts are not processed.
    if len(text) > 4 * limits.image_bytes + 1024:
        raise too_large
    try:
        code = text.encode("ascii")
    except UnicodeEncodeError as error:
        raise not_base64 from error
    if percent and b"%" in code:
        for escape, meant in _ESCAPES:
            code = code.replace(escape, meant).replace(escape.lower(), meant)
    code = code.translate(None, _WHITESPACE)
    if b"-" in code or b"_" in code:
        if b"+" in code or b"/" in code:
            raise not_base64
        code = code.translate(bytes.maketrans(b"-_", b"+/"))
    digits = code.rstrip(b"=")
    if not digits:
        raise InvalidImage("The image is empty.", param)
    if len(digits) * 3 // 4 > limits.image_bytes:
        raise too_large
    missing = -len(digits) % 4
    if len(code) - len(digits) not in (0, missing):
        raise not_base64
    try:
        return binascii.a2b_base64(digits + b"=" * missing, strict_mode=True)
    except binascii.Error as error:
        raise not_base64 from error
