"""Ranking candidates on the server, by meaning or as vectors. Too many for one request are ranked in chunks: a score
does not depend on the other candidates, so the best of all are among the best of each chunk."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from typing import Any, NamedTuple, TypedDict

import httpx
import numpy as np
import orjson
from numpy.typing import ArrayLike

from embeddings_client.chunks import Chunk, Chunking, Sized, chunks
from embeddings_client.embeddings import check_space, wire_options
from embeddings_client.errors import InvalidRequest
from embeddings_client.items import Item, listed, sized_item, sized_items
from embeddings_client.operation import NPY, Call, Operation, json_of, unreadable
from embeddings_client.types import SimilarityMetric, Vector

Vectors = ArrayLike | Iterator[ArrayLike]
"""(n, d), or an iterator of n vectors."""


class Found(NamedTuple):
    """A candidate's index and score. cosine: -1 to 1. dot: any number. euclidean: the distance."""

    index: int  # type: ignore[assignment]  # replaces tuple.index
    score: float


class RankOptions(TypedDict, total=False):
    """top_k: maximum number of results, default all. threshold: minimum score; for euclidean the maximum. metric:
    cosine (default), dot or euclidean."""

    top_k: int | None
    threshold: float | None
    metric: SimilarityMetric


class SearchOptions(RankOptions, total=False):
    """As RankOptions. model: embeds texts and images, default: the first suitable one. space: of the given vectors.
    prompt_name: one of the model's prompts."""

    model: str | None
    space: str | None
    prompt_name: str | None


@dataclass(frozen=True, slots=True)
class Ranked:
    """Results, best first, ties by index; `model` and `space` if they are known. `truncated`: how many texts were
    longer than the model reads; each request counts its query."""

    results: list[Found]
    model: str | None = None
    space: str | None = None
    truncated: int = 0


class _Rank(Operation[Any, Ranked]):
    """The common part of `Search` and `Similarity`."""

    top_k: int | None
    metric: SimilarityMetric

    field = unit = "candidates"

    def read(self, response: httpx.Response, chunk: Chunk[Any]) -> Ranked:
        data = json_of(response)
        try:
            found = [Found(chunk.start + one["index"], one["score"]) for one in data["results"]]
        except (KeyError, TypeError) as error:
            raise unreadable(response, f"results without {error}") from None
        truncated = response.headers.get("x-embedding-truncated", "")
        return Ranked(found, data.get("model"), data.get("space"), int(truncated) if truncated.isdecimal() else 0)

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
        truncated = sum(result.truncated for result in results)
        return Ranked(found[: self.top_k], first.model, first.space, truncated)


@dataclass(frozen=True)
class Search(_Rank):
    query: Item
    candidates: Iterable[Item]
    top_k: int | None = None
    threshold: float | None = None
    metric: SimilarityMetric = "cosine"
    model: str | None = None
    space: str | None = None
    prompt_name: str | None = None

    def chunks(self, limits: Chunking) -> Iterator[Chunk[Any]]:
        return chunks(
            sized_items(self.candidates, self.field),
            max_items=limits.candidates,
            max_bytes=limits.image_bytes - self._sized_query.bytes,
            max_images=limits.images - self._sized_query.images,
        )

    def call(self, chunk: Chunk[Any]) -> Call:
        body = {"query": self._sized_query.value, "candidates": list(chunk.items)}
        body |= wire_options(self, "query", "candidates")
        return Call("/search", orjson.dumps(body), {"content-type": "application/json"})

    @cached_property
    def _sized_query(self) -> Sized[orjson.Fragment]:
        return sized_item(self.query, "query")


@dataclass(eq=False)
class Similarity(_Rank):
    query: ArrayLike
    candidates: Vectors
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


def _matrices(vector: ArrayLike, candidates: Vectors) -> tuple[Vector, Vector]:
    """(d,) and (n, d) arrays. Raises InvalidRequest if the shapes do not fit."""
    try:
        query, rows = np.asarray(vector, np.float32), np.asarray(listed(candidates), np.float32)
    except (TypeError, ValueError):
        message = "`query` and `candidates` must be numbers, and vectors of equal length."
        raise InvalidRequest(message, "candidates") from None
    if query.ndim != 1 or not query.size:
        raise InvalidRequest(f"`query` must be one vector, (d,), not {query.shape}.", "query")
    if rows.ndim == 1 and not rows.size:
        rows = rows.reshape(0, query.size)
    if rows.ndim != 2 or rows.shape[1] != query.size:
        message = f"`candidates` must be (n, {query.size}) as `query` is ({query.size},), not {rows.shape}."
        raise InvalidRequest(message, "candidates")
    return query, rows
