"""Scores images, and texts beside them, by the cosine of an image model's vectors."""

import asyncio
from contextlib import suppress

from app.config.settings import MODELS
from app.errors import InvalidItem, ModelNotFound
from app.service.batch import Item, check_counts, embed_all
from app.service.embedding_service import EmbeddingService
from app.service.rerank import ScoreRequest, Scores, require_whole, require_whole_queries
from app.service.result import EmbeddingResult
from app.types import ReadOptions
from app.vectors.similarity import cosines
from app.words import Kind


async def score_images(service: EmbeddingService, asked: ScoreRequest) -> Scores:
    """Raises InvalidItem naming the first image if the model reads none, and the error of the first document that can't
    be embedded."""
    [query], (field, name) = asked.queries, asked.names
    service.check_text(query, field)
    model = _image_model(service, asked)
    items = [asked.images.get(i, Item("text", text, None)) for i, text in enumerate(asked.texts)]
    check_counts(service.limits, items, name)
    reading = ReadOptions(input_type="document", cut=asked.cut)
    first, second = await asyncio.gather(
        service.embed_texts([query], model, field, ReadOptions(input_type="query", cut=asked.cut)),
        embed_all(service, items, model, reading, f"{name}.{{}}".format),
    )
    (rows, tokens, cut), (others, more, truncated) = first.table(), second.table()
    require_whole_queries(asked, first.info, cut)
    require_whole(asked, second.info, truncated)
    values = cosines(rows, others)
    result = EmbeddingResult(
        second.info, [*first.entries, *second.entries], [*first.hits, *second.hits], second.stages, second.cache_ms
    )
    return Scores(result, values.tolist(), sum(tokens) + sum(more), truncated, "bi-encoder")


def _image_model(service: EmbeddingService, asked: ScoreRequest) -> str:
    """The model that is named, or the default one where no cross-encoder is served."""
    kinds: tuple[Kind, ...] = ("image", *MODELS) if asked.model else ("rerank", "image")
    for kind in kinds:
        with suppress(ModelNotFound):
            found = service.encoder(asked.model, kind).state.id
            if kind == "image":
                return found
            which = f"{asked.names[1]}.{min(asked.images)}"
            raise InvalidItem(f"`{which}` is an image, which {found} does not read: name an image model.", which)
    return service.encoder(asked.model, "image").state.id
