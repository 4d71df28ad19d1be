"""Embedding texts and images. Responses are NumPy files; the chunks' vectors become one matrix."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from io import BytesIO
from typing import Any, TypedDict
from urllib.parse import unquote

import httpx
import numpy as np
import orjson
from numpy.typing import NDArray

from embeddings_client.chunks import Chunk, Chunking, chunks
from embeddings_client.errors import InvalidRequest, SpaceMismatch
from embeddings_client.items import Image, base64_of, sized_images, sized_texts
from embeddings_client.operation import NPY, Call, Operation, unreadable
from embeddings_client.types import InputType, OutputType


class ImageOptions(TypedDict, total=False):
    """model: full or short name, default: the first one configured. normalize: to length 1, default True.
    output_type: float32 (default), int8, uint8, binary or ubinary."""

    model: str | None
    normalize: bool
    output_type: OutputType


class TextOptions(ImageOptions, total=False):
    """As ImageOptions. prompt_name: one of the model's prompts. input_type: query or document, for models that have a
    prompt for each."""

    prompt_name: str | None
    input_type: InputType | None


class TruncationWarning(UserWarning):
    """A text was longer than the model's maximum length; its vector is of a part of it."""


@dataclass(frozen=True, slots=True, eq=False)
class Embeddings:
    """Vectors and their metadata.

    Args:
        vectors: (n, d) in the requested output type, in the order of the inputs.
        model: Full name of the model.
        space: Name of the vector space. Only vectors of the same space can be compared.
        dimensions: Dimensions of the model; binary vectors have an eighth as many bytes.
        tokens: Tokens of all inputs, including special tokens.
        cache_hits: Number of vectors that came from the cache.
        truncated: Indices of the inputs that were truncated to the model's maximum length.
        range: int8, uint8: the values that the first and the last level stand for.
        note: A remark on this model, e.g. that it is a backup.
    """

    vectors: NDArray[Any]
    model: str
    space: str
    dimensions: int
    tokens: int
    cache_hits: int
    truncated: tuple[int, ...] = ()
    range: tuple[float, float] | None = None
    note: str | None = None


class _Embed(Operation[Any, Embeddings]):
    """The common part of embedding texts and images."""

    def read(self, response: httpx.Response, chunk: Chunk[Any]) -> Embeddings:
        embeddings = _read(response)
        if len(embeddings.vectors) != len(chunk.items):
            raise unreadable(response, f"{len(embeddings.vectors)} vectors for {len(chunk.items)} inputs")
        return replace(embeddings, truncated=tuple(chunk.start + i for i in embeddings.truncated))

    def join(self, results: Sequence[Embeddings]) -> Embeddings:
        if not results:
            raise InvalidRequest(f"`{self.field}` must not be empty.", self.field)
        first = results[0]
        for result in results:
            check_space(first.space, result.space)
        if len(results) == 1:
            return first
        return replace(
            first,
            vectors=np.concatenate([result.vectors for result in results]),
            tokens=sum(result.tokens for result in results),
            cache_hits=sum(result.cache_hits for result in results),
            truncated=tuple(i for result in results for i in result.truncated),
            note=next((result.note for result in results if result.note), None),
        )


@dataclass(frozen=True)
class Texts(_Embed):
    texts: Iterable[str]
    model: str | None = None
    normalize: bool = True
    output_type: OutputType = "float32"
    prompt_name: str | None = None
    input_type: InputType | None = None

    field = unit = "texts"

    def chunks(self, limits: Chunking) -> Iterator[Chunk[orjson.Fragment]]:
        return chunks(sized_texts(self.texts), max_items=limits.texts, max_bytes=limits.text_bytes)

    def call(self, chunk: Chunk[orjson.Fragment]) -> Call:
        body = {"texts": list(chunk.items)} | wire_options(self, "texts")
        return Call("/embed/text", orjson.dumps(body), {"content-type": "application/json", "accept": NPY})


@dataclass(frozen=True)
class Images(_Embed):
    images: Iterable[Image]
    model: str | None = None
    normalize: bool = True
    output_type: OutputType = "float32"

    field = unit = "images"

    def chunks(self, limits: Chunking) -> Iterator[Chunk[bytes | str]]:
        return chunks(sized_images(self.images), max_items=limits.images, max_bytes=limits.image_bytes)

    def call(self, chunk: Chunk[bytes | str]) -> Call:
        if any(isinstance(image, str) for image in chunk.items):
            body = {"images": [base64_of(image) for image in chunk.items]} | wire_options(self, "images")
            return Call("/embed/image", orjson.dumps(body), {"content-type": "application/json", "accept": NPY})
        # A multipart upload: base64 would add a third.
        files = [("images", (str(i), data, "application/octet-stream")) for i, data in enumerate(chunk.items)]
        form = {name: _form_value(value) for name, value in wire_options(self, "images").items()}
        return Call("/embed/image", headers={"accept": NPY}, form=form, files=files)


def wire_options(operation: Any, *without: str) -> dict[str, Any]:
    """The operation's fields that differ from their defaults, by wire name."""
    return {
        camel(field.name): getattr(operation, field.name)
        for field in fields(operation)
        if field.name not in without and getattr(operation, field.name) != field.default
    }


def camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)


def check_space(one: str | None, other: str | None) -> None:
    """Raises SpaceMismatch if the service changed its model between requests, e.g. to a backup."""
    if one != other:
        raise SpaceMismatch(
            f"Some vectors are in space {one!r} and some in {other!r}, so they can't be compared: the service changed "
            "its model between requests. Try again.",
            "model",
        )


def _form_value(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _read(response: httpx.Response) -> Embeddings:
    headers = response.headers
    try:
        vectors = np.load(BytesIO(response.content), allow_pickle=False)
        embeddings = Embeddings(
            vectors=vectors,
            model=unquote(headers["x-embedding-model"]),
            space=unquote(headers["x-embedding-space"]),
            dimensions=int(headers["x-embedding-dimensions"]),
            tokens=int(headers["x-embedding-tokens"]),
            cache_hits=int(headers["x-embedding-cache-hits"]),
            truncated=tuple(int(i) for i in headers.get("x-embedding-truncated", "").split(",") if i.strip()),
            range=_range(headers.get("x-embedding-range")),
            note=unquote(headers["x-embedding-note"]) if "x-embedding-note" in headers else None,
        )
    except KeyError as error:
        raise unreadable(response, f"the header {error} is missing") from None
    except (ValueError, EOFError) as error:
        raise unreadable(response, str(error)[:200]) from None
    if vectors.ndim != 2:
        raise unreadable(response, f"an array of {vectors.ndim} dimensions")
    return embeddings


def _range(header: str | None) -> tuple[float, float] | None:
    if header is None:
        return None
    least, most = header.split(",")
    return float(least), float(most)
