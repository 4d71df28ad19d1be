"""Reranking and scores of pairs. A client's dialect is a schema and two functions, request in and answer out."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Generic, TypeVar

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from app import errors
from app.api.backend import Backend
from app.api.route import ENCODES, Route
from app.api.wire import bodies, inputs
from app.api.wire.embeddings import record
from app.api.wire.json_response import json_response
from app.errors import InvalidRequest
from app.schemas import rerank as schemas
from app.schemas.compatibility import CompatibleWire
from app.schemas.wire import Json
from app.service.image_rerank import score_images
from app.service.rerank import ScoreRequest, Scores, score
from app.words import Cut

QUERY: Final = "Where do pandas live?"
DOCUMENTS: Final = ["The giant panda is a bear of China's mountains.", "Rome was not built in a day."]
# No other client sends it to `/rerank`.
TEI: Final = re.compile(rb'"texts"\s*:')
B = TypeVar("B", bound=CompatibleWire)


@dataclass(frozen=True, slots=True)
class Scored(Generic[B]):
    """A request that was answered; `id`: the request's."""

    body: B
    asked: ScoreRequest
    scores: Scores
    id: str

    @property
    def usage(self) -> Json:
        return {"prompt_tokens": self.scores.tokens, "total_tokens": self.scores.tokens}

    def ranked(self, score: str, text: str | None, form: Callable[[int], Any] | None = None) -> list[Json]:
        """The best, with the names of the fields; `text`: None where none is returned."""
        form = form or self.asked.texts.__getitem__
        return [
            {"index": index, score: value} | ({text: form(index)} if text else {})
            for index, value in self.scores.best(self.asked.top)
        ]

    def relevance(self, *, documents: bool) -> list[Json]:
        return self.ranked("relevance_score", "document" if documents else None, self._document)

    def _document(self, index: int) -> Json:
        image = self.asked.images.get(index)
        return {"text": self.asked.texts[index]} if image is None else {"image": image.content}


def dialect(
    path: str,
    summary: str,
    response: type[BaseModel],
    schema: type[B],
    read: Callable[[B], ScoreRequest],
    write: Callable[[Scored[B]], Any],
    *,
    told_by: re.Pattern[bytes] | None = None,
    reads_images: bool = False,
    **more: Any,
) -> Route:
    """A route. `told_by`: as of an embedding route's dialect; `reads_images`: documents may be images. `more`: as of
    `Route`."""

    async def answer(request: Request, backend: Backend) -> Response:
        raw = await bodies.read_json(request, getattr(backend.args.limits, limit))
        if told_by is not None and told_by.search(raw):
            [request.state.dialect] = more["errors_may_be"]
        body = bodies.parse(raw, schema)
        headers = body.ignored_header()
        asked = read(body)
        scores = await (score_images if asked.images else score)(backend.service, asked)
        record(request, scores.result)
        written = write(Scored(body, asked, scores, request.state.request_id))
        if scores.method:
            headers |= {"x-embedding-method": scores.method}
            written = written | {"method": scores.method} if isinstance(written, dict) else written
        return json_response(written, headers=headers)

    limit = "image_body" if reads_images else "text_body"
    possible = (*ENCODES, errors.EmptyInput, errors.InvalidItem, *((errors.InvalidImage,) if reads_images else ()))
    known = partial(Route, "POST", path, answer, summary, response, schema, possible, scope="embed", needs="rerank")
    return known(body_limit=limit, truncates=True, **more)


def cut_of(direction: str | None) -> Cut | None:
    """None: the model's own side."""
    if direction is None:
        return None
    return "end" if direction.lower() in ("right", "end") else "start"


def _read(body: schemas.RerankRequest) -> ScoreRequest:
    if (body.texts is None) == (body.documents is None):
        raise InvalidRequest("Send one of `texts` and `documents`.", "documents")
    name = "documents" if body.texts is None else "texts"
    texts, images = inputs.documents_or_images(getattr(body, name), name)
    return ScoreRequest(
        [body.query],
        texts,
        body.model,
        body.top_n,
        "set `truncate` to true" if body.truncate is False else "",
        cut_of(body.truncation_direction),
        body.raw_scores,
        ("query", name),
        images,
    )


def _array(scored: Scored[schemas.RerankRequest]) -> list[Json]:
    body = scored.body
    return scored.ranked("score", "text" if body.return_text or body.return_documents else None)


def _write(scored: Scored[schemas.RerankRequest]) -> Json | list[Json]:
    if scored.body.texts is not None:
        return _array(scored)
    pairs = zip(scored.asked.texts, scored.scores.values, strict=True)
    return {
        "id": scored.id,
        "query": scored.body.query,
        "model": scored.scores.info.id,
        "results": scored.relevance(documents=scored.body.return_documents or scored.body.return_text),
        "scores": [{"document": document, "score": value} for document, value in pairs],
        "usage": scored.usage,
    }


def _read_jina(body: schemas.JinaRerankRequest) -> ScoreRequest:
    if None not in (body.top_n, body.top_k) and body.top_n != body.top_k:
        raise InvalidRequest("`top_n` and `top_k` differ: send one of them.", "top_k")
    texts, images = inputs.documents_or_images(body.documents, "documents")
    top, whole = body.top_n or body.top_k, "set `truncation` to true" if body.truncation is False else ""
    return ScoreRequest([body.query], texts, body.model, top, whole, images=images)


def _write_jina(scored: Scored[schemas.JinaRerankRequest]) -> Json:
    results = scored.relevance(documents=scored.body.return_documents)
    return {
        "id": scored.id,
        "object": "list",
        "model": scored.scores.info.id,
        "results": results,
        "data": results,
        "usage": scored.usage,
        "meta": {"tokens": {"input_tokens": scored.scores.tokens}},
    }


def _read_nim(body: schemas.NimRankingRequest) -> ScoreRequest:
    texts, is_whole = [passage.text for passage in body.passages], body.truncate == "NONE"
    cut = None if is_whole else cut_of(body.truncate)
    whole = "set `truncate` to END or START" if is_whole else ""
    names = ("query", "passages")
    return ScoreRequest([body.query.text], texts, body.model, whole=whole, cut=cut, raw=True, names=names)


def _write_nim(scored: Scored[schemas.NimRankingRequest]) -> Json:
    return {"rankings": scored.ranked("logit", None)}


def _read_pairs(body: schemas.PairScoreRequest) -> ScoreRequest:
    first, second = (
        inputs.documents([text] if isinstance(text, str) else text, name)
        for text, name in ((body.text_1, "text_1"), (body.text_2, "text_2"))
    )
    return ScoreRequest(first, second, body.model, names=("text_1", "text_2"))


def _write_pairs(scored: Scored[schemas.PairScoreRequest]) -> Json:
    values = enumerate(scored.scores.values)
    return {
        "id": scored.id,
        "object": "list",
        "created": int(time.time()),
        "model": scored.scores.info.id,
        "data": [{"index": index, "object": "score", "score": value} for index, value in values],
        "usage": scored.usage,
    }


ROUTES: Final = (
    dialect(
        *(
            "/rerank",
            "Rank texts by a query, as text-embeddings-inference (`texts`), Infinity and Weaviate (`documents`).",
        ),
        schemas.RankedResponse,
        schemas.RerankRequest,
        _read,
        _write,
        example={"query": QUERY, "documents": DOCUMENTS, "top_n": 1},
        told_by=TEI,
        reads_images=True,
        errors_may_be=("tei",),
    ),
    dialect(
        "/elastic/rerank",
        "The same, always answered with a list, as Elastic's `hugging_face` service reads it.",
        schemas.RankedTexts,
        schemas.RerankRequest,
        _read,
        _array,
        example={"query": QUERY, "texts": DOCUMENTS, "return_text": True},
        reads_images=True,
    ),
    *(
        dialect(
            path,
            f"Rank documents by a query, as in {whose} API.",
            schemas.JinaRerankResponse,
            schemas.JinaRerankRequest,
            _read_jina,
            _write_jina,
            example={"query": QUERY, "documents": DOCUMENTS, "top_n": 1, "return_documents": True},
            errors_as=form,
            reads_images=True,
        )
        for path, whose, form in (
            ("/v1/rerank", "Jina's, Voyage's and vLLM's", "openai"),
            ("/v2/rerank", "Cohere's", "cohere"),
        )
    ),
    dialect(
        "/v1/ranking",
        "Rank passages by a query, as in NVIDIA NIM's API.",
        schemas.NimRankingResponse,
        schemas.NimRankingRequest,
        _read_nim,
        _write_nim,
        example={"query": {"text": QUERY}, "passages": [{"text": text} for text in DOCUMENTS], "truncate": "END"},
        errors_as="openai",
    ),
    dialect(
        "/score",
        "Scores of pairs of texts, as in vLLM's API.",
        schemas.PairScoreResponse,
        schemas.PairScoreRequest,
        _read_pairs,
        _write_pairs,
        example={"text_1": QUERY, "text_2": DOCUMENTS},
        errors_as="openai",
    ),
)
