"""The sparse half of a hybrid search: the candidates' ranks by a sparse encoder."""

import asyncio
from collections.abc import Sequence

from app.errors import ServiceError
from app.service.batch import Item, renamed
from app.service.embedding_service import EmbeddingService
from app.service.result import EmbeddingResult
from app.service.search import SearchQuery, name_of
from app.types import ReadOptions
from app.vectors.ragged import matches


async def rank_sparse(service: EmbeddingService, search: SearchQuery) -> tuple[EmbeddingResult, list[int]] | None:
    """What was embedded, the query first, and the candidates that share a token with the query, best first; None if
    `sparse` was not asked for. Raises ModelNotFound where no sparse encoder is served, and the error of the first text
    that can't be embedded."""
    if search.options.sparse is False:
        return None
    name = search.options.sparse if isinstance(search.options.sparse, str) else None
    texts = [str(item.content) for item in search.items if isinstance(item, Item)]
    most = service.limits.texts

    async def embed(start: int, texts: Sequence[str], task: str) -> EmbeddingResult:
        try:
            result = await service.embed_texts(texts, name, "texts", ReadOptions(input_type=task), "sparse")
        except ServiceError as error:
            field, _, place = (error.param or "").partition(".")
            raise renamed(error, name_of(start + int(place))) if field == "texts" and place else error from None
        for index, entry in enumerate(result.entries, start):
            if isinstance(entry, ServiceError):
                raise renamed(entry, name_of(index))
        return result

    parts = [(start, texts[start : start + most], "document") for start in range(1, len(texts), most)]
    done = await asyncio.gather(*(embed(*part) for part in [(0, texts[:1], "query"), *parts]))
    first = done[0]
    whole = EmbeddingResult(first.info, [e for one in done for e in one.entries], [h for one in done for h in one.hits])
    query, *rows = whole.rows()[0]
    return whole, await asyncio.to_thread(matches, query, rows, first.info.dimensions)
