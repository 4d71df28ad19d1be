"""Embeds items of several kinds and models: groups them, embeds each group, and restores the order."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from app.config.args import Limits
from app.errors import PayloadTooLarge, ServiceError
from app.service import prompts
from app.service.embedding_service import DEFAULT_READING, EmbeddingService
from app.service.encoder import ready
from app.service.result import EmbeddingResult, successes
from app.types import ReadOptions
from app.words import Modality


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
    """One outcome per item, in order, and the number of batches of which a model has run something.

    Items of the same kind and model form a group, which is one request to its model; a batch has at most `batch_size`
    items of a group. An error among `items` is its own outcome. An error of a whole group (an unknown model) is the
    outcome of each of its items. `names`: the name of an item in errors, by index.
    """

    async def embed(kind: Modality, model: str | None, indices: Sequence[int]) -> list[Outcome | ServiceError]:
        contents = [item.content for i in indices if isinstance(item := items[i], Item)]
        try:
            if kind == "text":
                result = await service.embed_texts([str(content) for content in contents], model, reading=reading)
            else:
                result = await service.embed_images(contents, model)
        except ServiceError as error:
            return [renamed(error, names(index)) for index in indices]
        return [
            renamed(entry, names(index)) if isinstance(entry, ServiceError) else Outcome(entry, hit, result)
            for index, entry, hit in zip(indices, result.entries, result.hits, strict=True)
        ]

    outcomes: dict[int, Outcome | ServiceError] = {}
    groups: dict[tuple[Modality, str | None], list[int]] = {}
    for index, item in enumerate(items):
        try:
            if isinstance(item, ServiceError):
                raise item
            if item.kind == "text":
                service.check_text(str(item.content), names(index))
            groups.setdefault((item.kind, item.model), []).append(index)
        except ServiceError as error:
            outcomes[index] = error
    size = service.limits.texts
    parts = [(*group, part) for group, indices in groups.items() for part in _cut(indices, size)]
    done = await asyncio.gather(*(embed(*part) for part in parts))
    for (_, _, indices), part_outcomes in zip(parts, done, strict=True):
        outcomes |= zip(indices, part_outcomes, strict=True)
    batches = [batch for indices in groups.values() for batch in _cut(indices, batch_size)]
    ran = {index for index, outcome in outcomes.items() if isinstance(outcome, Outcome) and not outcome.cached}
    return [outcomes[index] for index in range(len(items))], sum(not ran.isdisjoint(batch) for batch in batches)


async def embed_all(
    service: EmbeddingService,
    items: Sequence[Item],
    model: str | None,
    reading: ReadOptions,
    names: Callable[[int], str],
) -> EmbeddingResult:
    """As `embed_mixed`, all with one model. Raises the error of the first item that can't be embedded."""
    for kind in {item.kind for item in items}:
        # Checked once, so that the error names the field and not an item.
        prompts.choose(ready(service.encoder(model, kind)), reading)
    named = [Item(item.kind, item.content, model) for item in items]
    outcomes, _ = await embed_mixed(service, named, service.limits.texts, reading=reading, names=names)
    done = successes(outcomes)
    last = done[-1].result
    return EmbeddingResult(last.info, [o.entry for o in done], [o.cached for o in done], last.stages, last.cache_ms)


def check_counts(limits: Limits, items: Sequence[Item], param: str) -> None:
    """Raises PayloadTooLarge if there are too many texts or images for one request."""
    images = sum(item.kind == "image" for item in items)
    if len(items) > limits.texts or images > limits.images:
        raise PayloadTooLarge(
            f"{len(items)} inputs with {images} images; at most {limits.texts:,} inputs and {limits.images} images.",
            param,
        )


def _cut(indices: list[int], size: int) -> list[list[int]]:
    return [indices[start : start + size] for start in range(0, len(indices), size)]


def renamed(error: ServiceError, param: str) -> ServiceError:
    """The same error, naming the item instead of another route's field."""
    message = error.message
    if error.param and error.param.startswith(("texts", "images")):
        message = message.replace(f"`{error.param}`", f"`{param}`")
    return type(error)(message, param, error.retry_after)
