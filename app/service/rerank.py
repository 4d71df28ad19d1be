"""Scores pairs of texts: by a cross-encoder, by MaxSim of token vectors, or by the cosine of a text model's vectors."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from app.errors import InvalidItem, InvalidRequest, ModelNotFound
from app.service.batch import Item
from app.service.embedding_service import EmbeddingService
from app.service.result import EmbeddingResult
from app.types import ModelInfo, ReadOptions, Vector
from app.vectors.activation import ACTIVATIONS
from app.vectors.ragged import max_sims
from app.vectors.similarity import cosines
from app.words import Cut, Kind


@dataclass(frozen=True, slots=True)
class ScoreRequest:
    """Pairs of `queries` and `texts`, or of the one query and each text. `names`: of their request fields, for errors.

    Args:
        images: In place of some texts, which are empty then; for image models, see `app.service.image_rerank`.
        top: Of a ranking, at most so many; None for all.
        whole: How to allow a pair that is too long to be cut, at the side `cut` of its longer text; empty: it is.
        raw: The logits are asked for.
    """

    queries: Sequence[str]
    texts: Sequence[str]
    model: str | None = None
    top: int | None = None
    whole: str = ""
    cut: Cut | None = None
    raw: bool = False
    names: tuple[str, str] = ("query", "documents")
    images: Mapping[int, Item] = field(default_factory=dict)

    @property
    def pairs(self) -> list[tuple[str, str]]:
        queries = self.queries if len(self.queries) > 1 else [*self.queries] * len(self.texts)
        if len(queries) != len(self.texts):
            message = f"{len(queries)} `{self.names[0]}` and {len(self.texts)} `{self.names[1]}`: send one or as many."
            raise InvalidRequest(message, self.names[1])
        return list(zip(queries, self.texts, strict=True))


@dataclass(frozen=True, slots=True)
class Scores:
    """One score per pair, in order. `result`: of all that was looked up and run for them; `truncated`:
    indices of pairs; `method`: where no cross-encoder made them."""

    result: EmbeddingResult
    values: Sequence[float]
    tokens: int
    truncated: Sequence[int]
    method: str = ""

    @property
    def info(self) -> ModelInfo:
        return self.result.info

    def best(self, top: int | None) -> list[tuple[int, float]]:
        """Indices and scores, the best first; ties by index."""
        order = sorted(range(len(self.values)), key=lambda index: -self.values[index])
        return [(index, self.values[index]) for index in order[:top]]


def activated(info: ModelInfo, logits: Vector) -> Vector:
    """What sentence-transformers' `predict` returns."""
    return ACTIVATIONS[info.activation](logits)


async def score(service: EmbeddingService, asked: ScoreRequest) -> Scores:
    """Raises the error of the first pair that can't be scored, InvalidRequest if the model has more labels than one."""
    pairs = asked.pairs
    for i, query in enumerate(asked.queries):
        service.check_text(query, asked.names[0] if len(asked.queries) == 1 else f"{asked.names[0]}.{i}")
    if (kind := _kind(service, asked.model)) != "rerank":
        return await _by_vectors(service, asked, pairs, kind)
    result = await service.score_pairs(pairs, asked.model, asked.names[1], asked.cut)
    logits, tokens, truncated = result.table()
    if logits.shape[1] > 1:
        labels = ", ".join(result.info.labels[:8])
        raise InvalidRequest(f"{result.info.id} is a classifier ({labels}): ask /predict for its labels.", "model")
    require_whole(asked, result.info, truncated)
    values = logits if asked.raw else activated(result.info, logits)
    return Scores(result, values[:, 0].tolist(), sum(tokens), truncated)


def _kind(service: EmbeddingService, model: str | None) -> Kind:
    """Of the model that answers: the one that is named, or where there is no cross-encoder the default text model."""
    kinds: tuple[Kind, ...] = ("rerank", "text", "token") if model is not None else ()
    for kind in kinds:
        with suppress(ModelNotFound):
            service.encoder(model, kind)
            return kind
    return "text" if service.default_model("rerank") is None else "rerank"


async def _by_vectors(
    service: EmbeddingService, asked: ScoreRequest, pairs: Sequence[tuple[str, str]], kind: Kind
) -> Scores:
    """By the cosine of two texts' vectors, or by MaxSim of the vectors of their tokens."""
    model, (query, text) = asked.model, asked.names
    found = await asyncio.gather(
        service.embed_texts(asked.queries, model, query, ReadOptions(input_type="query", cut=asked.cut), kind),
        service.embed_texts(asked.texts, model, text, ReadOptions(input_type="document", cut=asked.cut), kind),
    )
    parts: list[Any] = [each.table() if kind == "text" else each.rows() for each in found]
    (rows, tokens, cut), (others, more, cut_too) = parts
    require_whole_queries(asked, found[0].info, cut)
    require_whole(asked, found[1].info, cut_too)
    first, second = found
    values: Any
    if kind == "text":
        values, method = cosines(rows, others), "bi-encoder"
    else:  # in a thread: it may take a second
        values, method = await asyncio.to_thread(max_sims, rows, others, first.info.dimensions), "late-interaction"
    result = EmbeddingResult(
        second.info,
        [*first.entries, *second.entries],
        [*first.hits, *second.hits],
        second.stages,
        max(first.cache_ms, second.cache_ms),
    )
    return Scores(result, values.tolist(), sum(tokens) + sum(more), cut_too, method)


def require_whole_queries(asked: ScoreRequest, info: ModelInfo, truncated: Sequence[int]) -> None:
    """As `require_whole`, of queries that are read alone."""
    if truncated and asked.whole:
        name = asked.names[0]
        which = name if len(asked.queries) == 1 else f"{name}.{truncated[0]}"
        raise InvalidItem(f"`{which}` must have at most {info.max_tokens} tokens; {asked.whole} to cut it.", which)


def require_whole(asked: ScoreRequest, info: ModelInfo, truncated: Sequence[int]) -> None:
    """Raises InvalidItem if a text was truncated that may not be."""
    if truncated and asked.whole:
        which = f"{asked.names[1]}.{truncated[0]}"
        message = f"`{which}` must have at most {info.max_tokens} tokens with its query; {asked.whole} to cut it."
        raise InvalidItem(message, which)
