"""What callers hand in, as bytes and JSON: texts, images (path, bytes, PIL), vectors, and items that may be any.

Whether texts and images are good is the service's to say. Pillow is not imported: its images know how to save.
"""

import base64
from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from io import BytesIO
from pathlib import Path
from typing import Any, Protocol, TypeGuard, runtime_checkable

import numpy as np
import orjson

from app.client.chunks import Weighed
from app.errors import InvalidImage, InvalidItem, InvalidRequest

# What PNG holds as it is.
_PNG_MODES = frozenset({"1", "L", "LA", "P", "RGB", "RGBA", "I;16"})
# A comma after each entry of a JSON list.
_COMMA = 1


@runtime_checkable
class PilImage(Protocol):
    """A `PIL.Image.Image`."""

    @property
    def mode(self) -> str: ...

    def convert(self, mode: str) -> "PilImage": ...

    def save(self, fp: Any, format: str) -> None: ...  # noqa: A002 - Pillow's name


Image = bytes | str | Path | PilImage
"""A file's bytes, its path, its URL for the service to fetch, or a picture in memory, which goes as PNG."""

Item = Any
"""str: a text. bytes, Path, PIL image: an image. Numbers: a vector. Or {text|image|vector: …, model?: …}."""


def checked_list(values: object, name: str) -> None:
    """Raises InvalidRequest: it is one item, or can't be counted. A string is a list of letters to Python."""
    if not isinstance(values, Sized) or isinstance(values, (str, bytes, bytearray, Mapping)):
        raise InvalidRequest(f"`{name}` must be a list: put what you have into [ ].", name)


def weighed_texts(texts: Iterable[str]) -> Iterator[Weighed[orjson.Fragment]]:
    """Each as the JSON that is sent. Raises InvalidItem."""
    for i, text in enumerate(texts):
        yield _weighed_json(text if isinstance(text, str) else _no_text(text, f"texts.{i}"), f"texts.{i}")


def weighed_images(images: Iterable[Image]) -> Iterator[Weighed[bytes | str]]:
    """Each as a file's bytes, read when its turn comes, or as a URL. Raises InvalidImage."""
    for i, image in enumerate(images):
        data = image if is_url(image) else image_bytes(image, f"images.{i}")
        yield Weighed(data, len(data), 1)


def weighed_items(items: Iterable[Item], field: str) -> Iterator[Weighed[orjson.Fragment]]:
    """Each as the JSON that is sent. Raises InvalidItem and InvalidImage."""
    for i, item in enumerate(items):
        yield weighed_item(item, f"{field}.{i}")


def weighed_item(item: Item, param: str) -> Weighed[orjson.Fragment]:
    """`param`: what errors call it."""
    entry = dict(item) if isinstance(item, Mapping) else {_kind(item, param): item}
    image = entry.get("image")
    if image is not None:
        entry["image"] = image if is_url(image) else base64_of(image_bytes(image, param))
    if "vector" in entry:
        entry["vector"] = np.ascontiguousarray(entry["vector"], np.float32)
    return _weighed_json(entry, param, images=int(image is not None))


def is_url(image: object) -> TypeGuard[str]:
    return isinstance(image, str) and image.lower().startswith(("http://", "https://"))


def base64_of(image: bytes | str) -> str:
    """As JSON has it: a URL stays one."""
    return image if isinstance(image, str) else base64.b64encode(image).decode()


def image_bytes(image: Image, param: str) -> bytes:
    """Raises InvalidImage: it can't be read, or is nothing that holds an image."""
    try:
        match image:
            case bytes():
                return image
            case bytearray() | memoryview():
                return bytes(image)
            case str() | Path():
                return Path(image).read_bytes()
            case PilImage():
                buffer = BytesIO()
                (image if image.mode in _PNG_MODES else image.convert("RGB")).save(buffer, format="PNG")
                return buffer.getvalue()
    except OSError as error:
        raise InvalidImage(f"`{param}` can't be read: {error}.", param) from error
    raise InvalidImage(f"`{param}` must be a path, bytes or a PIL image, not {type(image).__name__}.", param)


def _kind(item: Item, param: str) -> str:
    if isinstance(item, str):
        return "text"
    if isinstance(item, (bytes, bytearray, memoryview, Path, PilImage)):
        return "image"
    if isinstance(item, (Sequence, np.ndarray)):
        return "vector"
    words = "a text, an image (path, bytes, PIL), a vector, or a dict of one of them"
    raise InvalidItem(f"`{param}` must be {words}, not {type(item).__name__}.", param)


def _no_text(value: object, param: str) -> str:
    raise InvalidItem(f"`{param}` must be a string, not {type(value).__name__}.", param)


def _weighed_json(value: object, param: str, images: int = 0) -> Weighed[orjson.Fragment]:
    try:
        code = orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)
    except TypeError as error:
        # A lone surrogate, or a value that JSON has not.
        raise InvalidItem(f"`{param}` can't be sent: {error}.", param) from None
    return Weighed(orjson.Fragment(code), len(code) + _COMMA, images)
