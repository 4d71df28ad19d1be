"""Texts and images in one call, with one result each: an invalid item does not fail the others."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

import httpx
import numpy as np
import orjson
from numpy.typing import NDArray

from embeddings_client.chunks import Chunk, Chunking, chunks
from embeddings_client.embeddings import wire_options
from embeddings_client.errors import InvalidRequest, ServiceError
from embeddings_client.failures import error_class, with_shifted_index
from embeddings_client.items import Item, sized_items
from embeddings_client.operation import Call, Operation, json_of, unreadable
from embeddings_client.types import InputType, OutputType

# The number types of packed vectors; other output types are NumPy's own names.
_PACKED = {"binary": "int8", "ubinary": "uint8"}


class BatchOptions(TypedDict, total=False):
    """As TextOptions, but each item may name its model. batch_size: maximum items sent to a model at once."""

    batch_size: int
    normalize: bool
    output_type: OutputType
    prompt_name: str | None
    input_type: InputType | None


@dataclass(frozen=True, slots=True, eq=False)
class ItemResult:
    """One item's vector (d,) with its metadata, or its error."""

    vector: NDArray[Any] | None
    error: ServiceError | None = None
    model: str | None = None
    space: str | None = None
    dimensions: int | None = None
    cached: bool = False
    truncated: bool = False
    note: str | None = None

    def unwrap(self) -> NDArray[Any]:
        """The vector. Raises the item's error if there is none."""
        if self.vector is None:
            raise self.error or ServiceError("The item has neither a vector nor an error.")
        return self.vector


@dataclass(frozen=True)
class Batch(Operation[orjson.Fragment, list[ItemResult]]):
    items: Iterable[Item]
    batch_size: int = 100
    normalize: bool = True
    output_type: OutputType = "float32"
    prompt_name: str | None = None
    input_type: InputType | None = None

    field = unit = "items"

    def chunks(self, limits: Chunking) -> Iterator[Chunk[orjson.Fragment]]:
        items = sized_items(self.items, self.field)
        return chunks(items, max_items=limits.texts, max_bytes=limits.image_bytes, max_images=limits.images)

    def call(self, chunk: Chunk[orjson.Fragment]) -> Call:
        body = {"items": list(chunk.items)} | wire_options(self, "items")
        return Call("/embed/batch", orjson.dumps(body), {"content-type": "application/json"})

    def read(self, response: httpx.Response, chunk: Chunk[orjson.Fragment]) -> list[ItemResult]:
        data = json_of(response)
        rows, items = data.get("embeddings"), data.get("items")
        if not isinstance(rows, list) or not isinstance(items, list) or not len(rows) == len(items) == len(chunk.items):
            raise unreadable(response, f"not one result for each of {len(chunk.items)} items")
        return [self._result(row, metadata, chunk.start) for row, metadata in zip(rows, items, strict=True)]

    def join(self, results: Sequence[list[ItemResult]]) -> list[ItemResult]:
        if not results:
            raise InvalidRequest("`items` must not be empty.", "items")
        return [item for chunk in results for item in chunk]

    def _result(self, row: list[float] | None, metadata: dict[str, Any], start: int) -> ItemResult:
        if row is None:
            body = metadata["error"]
            error = error_class(body["code"], 500)(body["message"], body["param"])
            error.code = body["code"]
            return ItemResult(None, with_shifted_index(error, self.field, start))
        return ItemResult(
            vector=np.array(row, _PACKED.get(self.output_type, self.output_type)),
            model=metadata["model"],
            space=metadata.get("space"),
            dimensions=metadata["dimensions"],
            cached=metadata.get("cached", False),
            truncated=metadata.get("truncated", False),
            note=metadata.get("note"),
        )
