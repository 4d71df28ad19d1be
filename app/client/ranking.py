"""Candidates ranked at the service, by meaning or as vectors. More than one request takes are ranked in parts: scores
do not depend on the other candidates, so the best of all are among the best of each."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from typing import Any, NamedTuple, TypedDict

import httpx
import numpy as np
import orjson
from numpy.typing import ArrayLike

from app.client.chunks import Chunk, Chunking, Weighed, chunks
from app.client.embeddings import check_space, wire_options
from app.client.items import Item, checked_list, weighed_item, weighed_items
from app.client.operation import NPY, Call, Operation, json_of, unreadable
from app.errors import InvalidRequest
from app.types import SimilarityMetric, Vector


class Found(NamedTuple):
    """A candidate's place, and its score: cosine -1 to 1, dot any number, euclidean the distance."""

    index: int  # type: ignore[assignment]  # in place of a tuple's own search
    score: float


class RankOptions(TypedDict, total=False):
    """top_k: most results, default all. threshold: least score, for euclidean the greatest. metric: cosine
    (default), dot or euclidean."""

    top_k: int | None
    threshold: float | None
    metric: SimilarityMetric


class SearchOptions(RankOptions, total=False):
    """As RankOptions. model: embeds texts and images; default: the service's first that can. space: of the vectors
    given. prompt_name: one of the model's prompts."""

    model: str | None
    space: str | None
    prompt_name: str | None


@dataclass(frozen=True, slots=True)
class Ranked:
    """Best first, ties by index; `model` and `space` where they are known."""

    results: list[Found]
    model: str | None = None
    space: str | None = None


class _Rank(Operation[Any, Ranked]):
    """What both ways of ranking have in common."""

    top_k: int | None
    metric: SimilarityMetric

    field = unit = "candidates"

    def read(self, response: httpx.Response, chunk: Chunk[Any]) -> Ranked:
        data = json_of(response)
        try:
            found = [Found(chunk.start + one["index"], one["score"]) for one in data["results"]]
        except (KeyError, TypeError) as error:
            raise unreadable(response, f"results without {error}") from None
        return Ranked(found, data.get("model"), data.get("space"))

    def join(self, results: Sequence[Ranked]) -> Ranked:
        if len(results) == 1:
            return results[0]
        if not results:
            return Ranked([])
        first = results[0]
        for result in results:
            check_space(first.space, result.space)
        sign = 1 if self.metric == "euclidean" else -1
        found = [one for result in results for one in result.results]
        found.sort(key=lambda one: (sign * one.score, one.index))
        return Ranked(found[: self.top_k], first.model, first.space)


@dataclass(frozen=True)
class Search(_Rank):
    query: Item
    candidates: Sequence[Item]
    top_k: int | None = None
    threshold: float | None = None
    metric: SimilarityMetric = "cosine"
    model: str | None = None
    space: str | None = None
    prompt_name: str | None = None

    def __post_init__(self) -> None:
        checked_list(self.candidates, self.field)

    @property
    def total(self) -> int:
        return len(self.candidates)

    def chunks(self, limits: Chunking) -> Iterator[Chunk[Any]]:
        return chunks(
            weighed_items(self.candidates, self.field),
            most=limits.candidates,
            most_bytes=limits.image_bytes - self._asked.bytes,
            most_images=limits.images - self._asked.images,
        )

    def call(self, chunk: Chunk[Any]) -> Call:
        body = {"query": self._asked.value, "candidates": list(chunk.items)}
        body |= wire_options(self, "query", "candidates")
        return Call("/search", orjson.dumps(body), {"content-type": "application/json"})

    @cached_property
    def _asked(self) -> Weighed[orjson.Fragment]:
        return weighed_item(self.query, "query")


@dataclass(eq=False)
class Similarity(_Rank):
    query: ArrayLike
    candidates: ArrayLike
    top_k: int | None = None
    threshold: float | None = None
    metric: SimilarityMetric = "cosine"

    def __post_init__(self) -> None:
        self._query, self._rows = _matrices(self.query, self.candidates)

    @property
    def total(self) -> int:
        return len(self._rows)

    def chunks(self, limits: Chunking) -> Iterator[Chunk[Any]]:
        most = max(1, limits.vector_elements // len(self._query))
        for start in range(0, len(self._rows), most):
            yield Chunk(start, self._rows[start : start + most])  # type: ignore[arg-type]  # rows are a sequence

    def call(self, chunk: Chunk[Any]) -> Call:
        file = BytesIO()
        matrix = np.concatenate([self._query[None], np.asarray(chunk.items)])
        np.save(file, matrix.astype("<f4", copy=False), allow_pickle=False)
        params = {name: str(value) for name, value in wire_options(self, "query", "candidates").items()}
        return Call("/similarity", file.getvalue(), {"content-type": NPY}, params)


def _matrices(given: ArrayLike, candidates: ArrayLike) -> tuple[Vector, Vector]:
    """(d,) and (n, d). Raises InvalidRequest: they are not."""
    try:
        query, rows = np.asarray(given, np.float32), np.asarray(candidates, np.float32)
    except (TypeError, ValueError) as error:
        raise InvalidRequest(f"`query` and `candidates` must be numbers: {error}.", "candidates") from None
    if query.ndim != 1 or not query.size:
        raise InvalidRequest(f"`query` must be one vector, (d,), not {query.shape}.", "query")
    if rows.ndim == 1 and not rows.size:
        rows = rows.reshape(0, query.size)
    if rows.ndim != 2 or rows.shape[1] != query.size:
        words = f"`candidates` must be (n, {query.size}) as `query` is ({query.size},), not {rows.shape}."
        raise InvalidRequest(words, "candidates")
    return query, rows
