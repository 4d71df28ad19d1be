"""Where the bytes of one `images` entry come from: base64, a data URI, the allowed folder, a URL.

Here: what an entry is and how to get its bytes. Not here: whether the bytes are an image (`images`), uploads
(their bytes are already there), reading the folder safely (`image_folder`), fetching from a URL (`fetching`).
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
# Media type and parameters of a data URI; the comma comes well before this in any honest one.
_DATA_HEADER = 256
_WHITESPACE = b" \t\r\n"
# All that base64 can need in a URI. A general decoder would make an object of every escape.
_ESCAPES = ((b"%2B", b"+"), (b"%2F", b"/"), (b"%3D", b"="), (b"%0D", b""), (b"%0A", b""), (b"%20", b""))


@dataclass(frozen=True, slots=True)
class ImageSource:
    kind: SourceKind
    value: str

    @classmethod
    def parse(cls, entry: object, *, param: str) -> "ImageSource":
        """One entry as it came: a string, `{"path": ...}`, `{"url": ...}` or `{"image_url": ...}` as OpenAI has it.

        Raises:
            InvalidItem: It is something else.
        """
        if isinstance(entry, Mapping) and "image_url" in entry:
            rest = {key: value for key, value in entry.items() if key != "image_url"}
            inner = entry["image_url"]
            if rest in ({}, {"type": "image_url"}):
                entry = {"url": inner} if isinstance(inner, str) else inner
                if isinstance(entry, Mapping):
                    # How finely to look is for models that are asked about a picture.
                    entry = {key: value for key, value in entry.items() if key != "detail"}
        if isinstance(entry, str):
            return cls(_kind(entry), entry)
        if isinstance(entry, Mapping) and len(entry) == 1:
            ((key, value),) = entry.items()
            if key == "url" and isinstance(value, str):
                return cls("data" if _kind(value) == "data" else "url", value)
            if key == "path" and isinstance(value, str):
                return cls("path", value)
        raise InvalidItem(f"An image is {_FORMS}.", param)


def url_of(entry: object) -> str | None:
    """The URL of an entry that is one."""
    with suppress(InvalidItem):
        source = ImageSource.parse(entry, param="")
        return source.value if source.kind == "url" else None
    return None


def load(entry: object, *, folder: Path | None, limits: Limits, param: str) -> bytes:
    """The bytes an entry stands for, at most `limits.image_bytes`. Reads files: call it off the event loop.

    URLs are refused: who may fetch them asks `url_of` first.

    Raises:
        InvalidItem: The entry is no image source.
        InvalidImage: Its bytes can't be had.
        PayloadTooLarge: They are too many; for base64 known before decoding, for files before reading.
    """
    source = ImageSource.parse(entry, param=param)
    match source.kind:
        case "path":
            return image_folder.read(source.value, folder=folder, limits=limits, param=param)
        case "url":
            raise InvalidImage(f"Image URLs are off; send the image itself as {_FORMS}.", param)
        case "data":
            return _data_uri(source.value, limits, param)
        case "base64":
            return _base64(source.value, limits, param)


def _kind(text: str) -> SourceKind:
    # JPEG's base64 begins with "/9j/": an absolute path is not a path here.
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
    media_type, *parameters = (part.strip().lower() for part in uri[len("data:") : comma].split(";"))
    if not media_type.startswith("image/"):
        raise InvalidImage("The data URI's media type must be an image's, e.g. 'data:image/png;base64,...'.", param)
    if not parameters or parameters[-1] != "base64":
        raise InvalidImage("The data URI must be base64, e.g. 'data:image/png;base64,...'.", param)
    return _base64(uri[comma + 1 :], limits, param, percent=True)


def _base64(text: str, limits: Limits, param: str, *, percent: bool = False) -> bytes:
    # 4 characters are 3 bytes; line breaks or percent signs may double that. Longer texts are not looked at.
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
    return InvalidImage(f"This is not base64. An image is {_FORMS}.", param)
