"""Parses one `images` entry (base64, data URI, path or URL) and loads its bytes.

It does not decode images (`decoder`) or fetch URLs (`fetcher`).
"""

import binascii
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class ImageSource:
    kind: SourceKind
    value: str

    @classmethod
    def parse(cls, entry: object, *, param: str) -> "ImageSource":
        """Parse an entry: a string, `{"path": ...}`, `{"url": ...}` or OpenAI's `{"image_url": ...}`.

        Raises:
            InvalidItem: The entry is something else.
        """
        if isinstance(entry, Mapping) and "image_url" in entry:
            rest = {key: value for key, value in entry.items() if key != "image_url"}
            inner = entry["image_url"]
            if rest in ({}, {"type": "image_url"}):
                entry = {"url": inner} if isinstance(inner, str) else inner
                if isinstance(entry, Mapping):
                    # `detail` only concerns models that answer questions about a picture.
                    entry = {key: value for key, value in entry.items() if key != "detail"}
        if isinstance(entry, str):
            return cls(_kind(entry), entry)
        if isinstance(entry, Mapping) and len(entry) == 1:
            ((key, value),) = entry.items()
            if key == "url" and isinstance(value, str):
                return cls("data" if _kind(value) == "data" else "url", value)
            if key == "path" and isinstance(value, str):
                return cls("path", value)
        raise InvalidItem(f"An image must be {_FORMS}.", param)


def url_of(entry: object) -> str | None:
    """The URL of an entry; None if the entry is not a URL."""
    with suppress(InvalidItem):
        source = ImageSource.parse(entry, param="")
        return source.value if source.kind == "url" else None
    return None


def load(entry: object, *, folder: Path | None, limits: Limits, param: str) -> bytes:
    """The bytes of an entry, at most `limits.image_bytes`. Reads files: do not call it in the event loop.

    URLs are rejected here: callers that may fetch them check `url_of` first.

    Raises:
        InvalidItem: The entry is not an image source.
        InvalidImage: The bytes can't be loaded.
        PayloadTooLarge: There are too many bytes; checked before base64 is decoded and before files are read.
    """
    source = ImageSource.parse(entry, param=param)
    match source.kind:
        case "path":
            return image_folder.read(source.value, folder=folder, limits=limits, param=param)
        case "url":
            raise InvalidImage(f"Image URLs are disabled; send the image itself as {_FORMS}.", param)
        case "data":
            return _data_uri(source.value, limits, param)
        case "base64":
            return _base64(source.value, limits, param)


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
    # 4 characters encode 3 bytes; line breaks or escapes may double their number. Longer texts are not processed.
    if len(text) > 4 * limits.image_bytes + 1024:
        raise _too_large(limits, param)
    try:
        code = text.encode("ascii")
    except UnicodeEncodeError as error:
        raise _not_base64(param) from error
    if percent and b"%" in code:
        for escape, meant in _ESCAPES:
            code = code.replace(escape, meant).replace(escape.lower(), meant)
    code = code.translate(None, _WHITESPACE)
    if b"-" in code or b"_" in code:
        if b"+" in code or b"/" in code:
            raise _not_base64(param)
        code = code.translate(bytes.maketrans(b"-_", b"+/"))
    digits = code.rstrip(b"=")
    if not digits:
        raise InvalidImage("The image is empty.", param)
    if len(digits) * 3 // 4 > limits.image_bytes:
        raise _too_large(limits, param)
    missing = -len(digits) % 4
    if len(code) - len(digits) not in (0, missing):
        raise _not_base64(param)
    try:
        return binascii.a2b_base64(digits + b"=" * missing, strict_mode=True)
    except binascii.Error as error:
        raise _not_base64(param) from error


def _too_large(limits: Limits, param: str) -> PayloadTooLarge:
    return PayloadTooLarge(f"The image has too many bytes; at most {limits.image_bytes:,} are allowed.", param)


def _not_base64(param: str) -> InvalidImage:
    return InvalidImage(f"This is not base64. An image must be {_FORMS}.", param)
