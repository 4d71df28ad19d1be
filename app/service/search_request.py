"""A `/search` body becomes items and options, or an error that names the field. Nothing is embedded here.

There may be 10,000 vectors in it, so numbers go from orjson straight into numpy.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import ValidationError

from app.config.args import Limits
from app.errors import InvalidRequest, PayloadTooLarge
from app.schemas import SearchOptions, SearchRequest
from app.schemas.validation import as_invalid_request, json_object
from app.service.batch import Item
from app.types import Vector
from app.vectors.json_body import vector_of


@dataclass(frozen=True, slots=True)
class Search:
    """`items[0]` is the query, the candidates follow; `given` holds the candidates as they came."""

    items: Sequence[Item | Vector]
    given: Sequence[Any]
    options: SearchOptions

    @property
    def images(self) -> int:
        return sum(isinstance(item, Item) and item.kind == "image" for item in self.items)


def name_of(index: int) -> str:
    """What errors call the item of an index."""
    return f"candidates.{index - 1}" if index else "query"


def parse(body: bytes, limits: Limits) -> Search:
    """Raises InvalidRequest or PayloadTooLarge, naming the field at fault."""
    data = json_object(body, "`query` and `candidates`")
    query, candidates = data.pop("query", None), data.pop("candidates", None)
    try:
        options = SearchOptions.model_validate(data)
    except ValidationError as error:
        raise as_invalid_request(error, SearchRequest) from None
    if query is None:
        raise InvalidRequest("`query` is missing: {text}, {image} or {vector}.", "query")
    if not isinstance(candidates, list):
        raise InvalidRequest("`candidates` must be a list of {text}, {image} or {vector} objects.", "candidates")
    if len(candidates) > limits.search_candidates:
        most = f"{limits.search_candidates:,}"
        raise PayloadTooLarge(f"{len(candidates):,} candidates; at most {most} in one request.", "candidates")
    search = Search([_item(one, name_of(i)) for i, one in enumerate([query, *candidates])], candidates, options)
    if search.images > limits.images:
        raise PayloadTooLarge(f"{search.images} images; at most {limits.images} in one request.", "candidates")
    return search


def _item(given: Any, param: str) -> Item | Vector:
    if isinstance(given, dict) and len(given) == 1:
        [(kind, content)] = given.items()
        if kind == "text":
            if not isinstance(content, str) or not content:
                raise InvalidRequest(f"`{param}.text` must be a string, and not empty.", f"{param}.text")
            return Item("text", content, None)
        if kind == "image":
            return Item("image", content, None)
        if kind == "vector":
            if not isinstance(content, list) or not content:
                raise InvalidRequest(f"`{param}.vector` must be a list of numbers.", f"{param}.vector")
            return np.asarray(vector_of(content, f"{param}.vector"), np.float32)
    raise InvalidRequest(f"`{param}` must be an object with one of `text`, `image` and `vector`.", param)
