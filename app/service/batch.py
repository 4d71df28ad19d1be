"""Embeds items of several kinds and models: groups them, embeds each group in batches, and restores the order."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from app.errors import InvalidItem, PayloadTooLarge, ServiceError
from app.service.embedding_service import DEFAULT_READING, EmbeddingService
from app.service.result import EmbeddingResult
from app.types import Modality, ReadOptions


@dataclass(frozen=True, slots=True)
class Item:
    kind: Modality
    content: object
    model: str | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """The cache entry of an item's vector; `result` holds its model."""

    entry: bytes
    cached: bool
    result: EmbeddingResult


async def embed_mixed(
    service: EmbeddingService,
    items: Sequence[Item | ServiceError],
    batch_size: int,
    *,
    reading: ReadOptions = DEFAULT_READING,
    names: Callable[[int], str] = "items.{}".format,
) -> tuple[list[Outcome | ServiceError], int]:
    """One outcome per item, in order, and the number of batches that a model has run.

    Items of the same kind and model form a group; a batch has at most `batch_size` items of a group. An error among
    `items` is its own outcome. An error of a whole group (an unknown model) is the outcome of each of its items.

    Args:
        reading: How texts are tokenized.
        names: The name of an item in errors, by index.
    """

    async def embed(kind: Modality, model: str | None, indices: Sequence[int]) -> list[Outcome | ServiceError]:
        contents = [item.content for i in indices if isinstance(item := items[i], Item)]
        try:
            if kind == "text":
                result = await service.embed_texts([str(content) for content in contents], model, reading=reading)
            else:
                result = await service.embed_images(contents, model)
        except ServiceError as error:
            # One item (a text that is too long) may have failed all: each is embedded alone then.
            if not isinstance(error, (InvalidItem, PayloadTooLarge)) or len(indices) == 1:
                return [_renamed(error, names(index)) for index in indices]
            alone = await asyncio.gather(*(embed(kind, model, [index]) for index in indices))
            return [outcome for part in alone for outcome in part]
        return [
            _renamed(entry, names(index)) if isinstance(entry, ServiceError) else Outcome(entry, hit, result)
            for index, entry, hit in zip(indices, result.entries, result.hits, strict=True)
        ]

    outcomes: list[Outcome | ServiceError | None] = [i if isinstance(i, ServiceError) else None for i in items]
    groups: dict[tuple[Modality, str | None], list[int]] = {}
    for index, item in enumerate(items):
        if isinstance(item, Item):
            groups.setdefault((item.kind, item.model), []).append(index)
    parts = [
        (kind, model, indices[start : start + batch_size])
        for (kind, model), indices in groups.items()
        for start in range(0, len(indices), batch_size)
    ]
    done = await asyncio.gather(*(embed(kind, model, part) for kind, model, part in parts))
    for (_, _, indices), part_outcomes in zip(parts, done, strict=True):
        for index, outcome in zip(indices, part_outcomes, strict=True):
            outcomes[index] = outcome
    batches = sum(any(isinstance(o, Outcome) and not o.cached for o in part) for part in done)
    return [outcome for outcome in outcomes if outcome is not None], batches


def _renamed(error: ServiceError, param: str) -> ServiceError:
    """The same error, naming the item instead of another route's field."""
    message = error.message
    if error.param and error.param.startswith(("texts", "images")):
        message = message.replace(f"`{error.param}`", f"`{param}`")
    return type(error)(message, param, error.retry_after)
