"""A search's vectors: what must be embedded is, what is a vector already is checked against it. No HTTP, no Ray."""

from dataclasses import dataclass

import numpy as np

from app.cache.entry import unpack
from app.errors import InvalidRequest, ServiceError, SpaceMismatch
from app.service import prompts
from app.service.batch import Item, Outcome, embed_mixed
from app.service.embedding_service import EmbeddingService
from app.service.encoder import ready
from app.service.result import EmbeddingResult
from app.service.search_request import Search, name_of
from app.types import ModelInfo, ReadOptions, Vector


@dataclass(frozen=True, slots=True)
class Vectors:
    """(1 + n, d) rows, the query's first; `result` is one of those that embedded, None where nothing was."""

    rows: Vector
    result: EmbeddingResult | None
    embedded: int
    hits: int

    @property
    def info(self) -> ModelInfo | None:
        return self.result.info if self.result else None


async def vectors(service: EmbeddingService, search: Search) -> Vectors:
    """Raises the ServiceError of the first item that can't be embedded, and SpaceMismatch."""
    options = search.options
    places = [i for i, item in enumerate(search.items) if isinstance(item, Item)]
    given = {i: item for i, item in enumerate(search.items) if not isinstance(item, Item)}
    result: EmbeddingResult | None = None
    rows: dict[int, Vector] = dict(given)
    hits = 0
    if places:
        model = options.model or service.default_model("image" if search.images else "text")
        reading = ReadOptions(options.prompt_name)
        for needed in {item.kind for item in search.items if isinstance(item, Item)}:
            # Refused once, by the field's own name, and not with each item.
            prompts.choose(ready(service.encoder(model, needed)), reading)
        items = [Item(item.kind, item.content, model) for i in places if isinstance(item := search.items[i], Item)]
        outcomes, _ = await embed_mixed(
            service, items, service.limits.texts, reading=reading, names=lambda index: name_of(places[index])
        )
        done: list[Outcome] = []
        for outcome in outcomes:
            if isinstance(outcome, ServiceError):
                raise outcome
            done.append(outcome)
        result = done[0].result
        hits = sum(outcome.cached for outcome in done)
        table, _, _ = unpack([outcome.entry for outcome in done])
        rows |= dict(zip(places, table, strict=True))
        _check_space(result.info, options.space, given)
    return Vectors(_stacked(rows), result, len(places) - hits, hits)


def _check_space(info: ModelInfo, space: str | None, given: dict[int, Vector]) -> None:
    if given and space is not None and space != info.space:
        raise SpaceMismatch(f"The vectors are of {space!r}, and the model's are of {info.space!r}.", "space")


def _stacked(rows: dict[int, Vector]) -> Vector:
    dimensions = len(rows[0])
    for i in range(len(rows)):
        if len(rows[i]) != dimensions:
            raise InvalidRequest(
                f"`{name_of(i)}` has {len(rows[i])} dimensions and the query has {dimensions}: they must be equal.",
                name_of(i),
            )
    return np.stack([rows[i] for i in range(len(rows))])
