"""Parses a `/search` body and embeds its texts and images; given vectors are checked against the model's.

A body may hold 10,000 vectors, so numbers go from orjson straight into numpy.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import ValidationError

from app.config.args import Limits
from app.errors import InvalidRequest, PayloadTooLarge, ServiceError, SpaceMismatch
from app.schemas.search import SearchRequest, SearchRequestOptions
from app.schemas.validation import as_invalid_request, json_object
from app.service.batch import Item, embed_all, renamed
from app.service.embedding_service import EmbeddingService
from app.service.encoder import ready
from app.service.rerank import ScoreRequest, score
from app.service.result import EmbeddingResult
from app.types import ModelInfo, ReadOptions, Vector
from app.vectors.json_body import vector_of


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """`items[0]` is the query, followed by the candidates; `given`: the candidates as in the request."""

    items: Sequence[Item | Vector]
    given: Sequence[Any]
    options: SearchRequestOptions

    @property
    def images(self) -> int:
        return sum(isinstance(item, Item) and item.kind == "image" for item in self.items)


def name_of(index: int) -> str:
    """The name of an item in errors."""
    return f"candidates.{index - 1}" if index else "query"


def parse(body: bytes, limits: Limits) -> SearchQuery:
    """Raises InvalidRequest or PayloadTooLarge naming the field at fault."""
    data = json_object(body, "`query` and `candidates`")
    query, candidates = data.pop("query", None), data.pop("candidates", None)
    try:
        options = SearchRequestOptions.model_validate(data)
    except ValidationError as error:
        raise as_invalid_request(error, SearchRequest) from None
    if query is None:
        raise InvalidRequest("`query` is missing: send {text}, {image} or {vector}.", "query")
    if not isinstance(candidates, list):
        raise InvalidRequest("`candidates` must be a list of {text}, {image} or {vector} objects.", "candidates")
    if len(candidates) > limits.search_candidates:
        limit = f"{limits.search_candidates:,}"
        raise PayloadTooLarge(f"{len(candidates):,} candidates; at most {limit} in one request.", "candidates")
    search = SearchQuery([_item(one, name_of(i)) for i, one in enumerate([query, *candidates])], candidates, options)
    for option in ("sparse", "rerank"):
        for i, item in enumerate(search.items if getattr(options, option) is not False else ()):
            if not isinstance(item, Item) or item.kind != "text":
                raise InvalidRequest(f"`{name_of(i)}` is no text: `{option}` scores texts only.", name_of(i))
    if search.images > limits.images:
        raise PayloadTooLarge(f"{search.images} images; at most {limits.images} in one request.", "candidates")
    return search


def _item(given: Any, param: str) -> Item | Vector:
    if isinstance(given, dict) and len(given) == 1:
        [(kind, content)] = given.items()
        if kind == "text":
            if not isinstance(content, str) or not content:
                raise InvalidRequest(f"`{param}.text` must be a string and not empty.", f"{param}.text")
            return Item("text", content, None)
        if kind == "image":
            return Item("image", content, None)
        if kind == "vector":
            if not isinstance(content, list) or not content:
                raise InvalidRequest(f"`{param}.vector` must be a list of numbers.", f"{param}.vector")
            return np.asarray(vector_of(content, f"{param}.vector"), np.float32)
    raise InvalidRequest(f"`{param}` must be an object with one of `text`, `image` and `vector`.", param)


async def embed(service: EmbeddingService, search: SearchQuery) -> tuple[Vector, EmbeddingResult | None]:
    """(1 + n, d) rows, the query first, and the result of what was embedded, by one model.

    Raises SpaceMismatch, and the error of the first item that can't be embedded.
    """
    options = search.options
    items = {i: item for i, item in enumerate(search.items) if isinstance(item, Item)}
    rows: dict[int, Vector] = {i: item for i, item in enumerate(search.items) if not isinstance(item, Item)}
    result = None
    if items:
        model = options.model or service.default_model("image" if search.images else "text")
        names = [name_of(i) for i in items]
        reading = ReadOptions(options.prompt_name)
        result = await embed_all(service, [*items.values()], model, reading, names.__getitem__)
        space = result.info.space
        if rows and options.space not in (None, space):
            message = f"The given vectors are in space {options.space!r}, but the model's are in {space!r}."
            raise SpaceMismatch(message, "space")
        rows |= zip(items, result.table()[0], strict=True)
    dimensions = len(rows[0])
    for i in range(len(rows)):
        if len(rows[i]) != dimensions:
            raise InvalidRequest(
                f"`{name_of(i)}` has {len(rows[i])} dimensions, but the query has {dimensions}: they must be equal.",
                name_of(i),
            )
    return np.stack([rows[i] for i in range(len(rows))]), result


async def rerank(
    service: EmbeddingService, search: SearchQuery, best: Sequence[int]
) -> tuple[ModelInfo, list[tuple[int, float]], set[int]]:
    """A cross-encoder, or a model of token vectors that is named; the best candidates by its scores, and the items
    whose pairs were truncated. Raises ModelNotFound where none is served."""
    options = search.options
    name = options.rerank if isinstance(options.rerank, str) else None
    info = ready(service.encoder(name, "token" if service.is_other_kind(name, "token") else "rerank"))
    query, *texts = [str(item.content) for item in search.items if isinstance(item, Item)]
    try:
        asked = ScoreRequest([query], [texts[index] for index in best], name, names=("query", "candidates"))
        scores = await score(service, asked) if best else None
    except ServiceError as error:
        field, _, place = (error.param or "").partition(".")
        raise renamed(error, name_of(1 + best[int(place)])) if field == "candidates" and place else error from None
    if scores is None:
        return info, [], set()
    truncated = {1 + best[place] for place in scores.truncated}
    return info, [(best[place], value) for place, value in scores.best(options.top_k)], truncated
