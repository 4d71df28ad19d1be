"""Serializes a caller's inputs: texts, images (path, bytes, PIL), vectors, and items that may be any of these.

The service validates the contents. Pillow is not imported: its images can save themselves.
"""

import base64
from collections.abc import AsyncIterable, Iterable, Iterator, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, Protocol, TypeGuard, runtime_checkable

import numpy as np
import orjson

from embeddings_client.chunks import Sized
from embeddings_client.errors import InvalidImage, InvalidItem, InvalidRequest

# The modes that PNG stores without conversion.
_PNG_MODES = frozenset({"1", "L", "LA", "P", "RGB", "RGBA", "I;16"})
_COMMA = 1  # byte after each entry of a JSON list


@runtime_checkable
class PilImage(Protocol):
    """A `PIL.Image.Image`."""

    @property
    def mode(self) -> str: ...

    def convert(self, mode: str) -> "PilImage": ...

    def save(self, fp: Any, format: str) -> None: ...  # noqa: A002 - Pillow's name


Image = bytes | str | Path | PilImage
"""A file's bytes, its path, a URL for the service to fetch, or a PIL image, which is sent as PNG."""

Item = Any
"""str: a text. bytes, Path, PIL image: an image. Numbers: a vector. Or a dict {text|image|vector: …, model?: …}."""


def require_items(values: object, name: str) -> None:
    """Raises InvalidRequest if the value is a single item. A string would otherwise count as a list of letters."""
    if isinstance(values, AsyncIterable):
        raise InvalidRequest(
            f"`{name}` is an asynchronous iterator: the methods of AsyncEmbeddingClient take it.", name
        )
    if not isinstance(values, Iterable) or isinstance(values, (str, bytes, bytearray, memoryview, Mapping)):
        raise InvalidRequest(f"`{name}` must be a list or an iterator: put a single item into [ ].", name)


def listed(values: Any) -> Any:
    """A generator's items as a list, for NumPy, which takes none; what is no iterator as it is."""
    return list(values) if isinstance(values, Iterator) else values


def sized_texts(texts: Iterable[str]) -> Iterator[Sized[orjson.Fragment]]:
    """Each text as JSON. Raises InvalidItem."""
    for i, text in enumerate(texts):
        if not isinstance(text, str):
            raise InvalidItem(f"`texts.{i}` must be a string, not {type(text).__name__}.", f"texts.{i}")
        yield _sized_json(text, f"texts.{i}")


def sized_images(images: Iterable[Image]) -> Iterator[Sized[bytes | str]]:
    """Each image as bytes, read lazily, or as a URL. Raises InvalidImage."""
    for i, image in enumerate(images):
        data = image if is_url(image) else image_bytes(image, f"images.{i}")
        yield Sized(data, len(data), 1)


def sized_items(items: Iterable[Item], field: str) -> Iterator[Sized[orjson.Fragment]]:
    """Each item as JSON. Raises InvalidItem and InvalidImage."""
    for i, item in enumerate(items):
        yield sized_item(item, f"{field}.{i}")


def sized_item(item: Item, param: str) -> Sized[orjson.Fragment]:
    """`param`: the item's name in errors."""
    entry = dict(item) if isinstance(item, Mapping) else {_kind(item, param): item}
    image = entry.get("image")
    if image is not None:
        entry["image"] = image if is_url(image) else base64_of(image_bytes(image, param))
    if "vector" in entry:
        entry["vector"] = np.ascontiguousarray(entry["vector"], np.float32)
    return _sized_json(entry, param, images=int(image is not None))


def is_url(image: object) -> TypeGuard[str]:
    return isinstance(image, str) and image.lower().startswith(("http://", "https://"))


def base64_of(image: bytes | str) -> str:
    """The image as base64; a URL stays as it is."""
    return image if isinstance(image, str) else base64.b64encode(image).decode()


def image_bytes(image: Image, param: str) -> bytes:
    """Raises InvalidImage if the image can't be read or has an unsupported type."""
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
        reason = "not found" if isinstance(error, FileNotFoundError) else error.strerror or error
        file = f"{error.filename}: " if error.filename else ""
        raise InvalidImage(f"`{param}` can't be read: {file}{reason}.", param) from error
    raise InvalidImage(f"`{param}` must be a path, bytes or a PIL image, not {type(image).__name__}.", param)


def _kind(item: Item, param: str) -> str:
    if isinstance(item, str):
        return "text"
    if isinstance(item, (bytes, bytearray, memoryview, Path, PilImage)):
        return "image"
    if isinstance(item, (Sequence, np.ndarray)):
        return "vector"
    allowed = "a text, an image (path, bytes, PIL), a vector, or a dict of one of them"
    raise InvalidItem(f"`{param}` must be {allowed}, not {type(item).__name__}.", param)


def _sized_json(value: object, param: str, images: int = 0) -> Sized[orjson.Fragment]:
    try:
        data = orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)
    except TypeError as error:
        # A lone surrogate, or a value that JSON can't represent.
        raise InvalidItem(f"`{param}` can't be sent as JSON: {error}.", param) from None
    return Sized(orjson.Fragment(data), len(data) + _COMMA, images)
