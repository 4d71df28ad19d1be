"""`POST /predict` and `/classify`: labels of texts or pairs, for clients of text-embeddings-inference and Infinity."""

import time
from typing import Any, Final

import numpy as np
from starlette.requests import Request
from starlette.responses import Response

from app.api.backend import Backend
from app.api.endpoints.rerank import cut_of
from app.api.route import ENCODES, Route
from app.api.wire import bodies, inputs
from app.api.wire.embeddings import record
from app.api.wire.json_response import json_response
from app.errors import EmptyInput, InvalidItem, InvalidRequest
from app.schemas.rerank import (
    InfinityClassifyRequest,
    InfinityClassifyResponse,
    TeiPredictRequest,
    TeiPredictResponse,
)
from app.schemas.wire import Json
from app.service.rerank import activated
from app.types import ModelInfo, Vector
from app.vectors.activation import softmax


async def predict(request: Request, backend: Backend) -> Response:
    body = bodies.parse(await bodies.read_json(request, backend.args.limits.text_body), TeiPredictRequest)
    headers = body.ignored_header()
    several = isinstance(body.inputs, list) and not all(isinstance(one, str) for one in body.inputs)
    given = body.inputs if several else [body.inputs]
    pairs = [_texts(one, f"inputs.{i}" if several else "inputs") for i, one in enumerate(given)]
    for i, pair in enumerate(pairs):  # the last of each is checked as every text is
        for text in pair[:-1]:
            backend.service.check_text(text, f"inputs.{i}" if several else "inputs")
    result = await backend.service.score_pairs(pairs, body.model, "inputs", cut_of(body.truncation_direction))
    record(request, result)
    logits, _, truncated = result.table()
    if truncated and body.truncate is False:
        which = f"inputs.{truncated[0]}" if several else "inputs"
        most = result.info.max_tokens
        raise InvalidItem(f"`{which}` must have at most {most} tokens; set `truncate` to true to truncate it.", which)
    answer = [_labels(row, result.info) for row in (logits if body.raw_scores else _probabilities(result.info, logits))]
    return json_response(answer if several else answer[0], headers=headers)


async def classify(request: Request, backend: Backend) -> Response:
    body = bodies.parse(await bodies.read_json(request, backend.args.limits.text_body), InfinityClassifyRequest)
    headers = body.ignored_header()
    texts = inputs.documents([body.input] if isinstance(body.input, str) else body.input, "input")
    result = await backend.service.score_pairs([(text,) for text in texts], body.model, "input")
    record(request, result)
    logits, tokens, _ = result.table()
    scores = logits if body.raw_scores else _probabilities(result.info, logits)
    answer: Json = {
        "object": "classify",
        "id": request.state.request_id,
        "created": int(time.time()),
        "model": result.info.id,
        "data": [_labels(row, result.info) for row in scores],
        "usage": {"prompt_tokens": sum(tokens), "total_tokens": sum(tokens)},
    }
    return json_response(answer, headers=headers)


def _texts(value: Any, param: str) -> tuple[str, ...]:
    texts = inputs.documents([value] if isinstance(value, str) else value, param)
    if len(texts) > 2:
        raise InvalidRequest(f"`{param}` must be a text or a pair of texts, not {len(texts)}.", param)
    return (*texts,)


def _probabilities(info: ModelInfo, logits: Vector) -> Vector:
    """As text-embeddings-inference does where a model has no activation of its own."""
    return softmax(logits) if info.activation == "Identity" and len(info.labels) > 1 else activated(info, logits)


def _labels(scores: Vector, info: ModelInfo) -> list[Json]:
    order = np.argsort(-scores, kind="stable").tolist()
    return [{"score": float(scores[index]), "label": info.labels[index]} for index in order]


ROUTES: Final = (
    Route(
        "POST",
        "/predict",
        predict,
        "The labels of texts or pairs by a classifier, as in text-embeddings-inference.",
        TeiPredictResponse,
        TeiPredictRequest,
        (*ENCODES, EmptyInput, InvalidItem),
        example={"inputs": "I am very happy."},
        scope="embed",
        truncates=True,
        body_limit="text_body",
        errors_as="tei",
    ),
    Route(
        "POST",
        "/classify",
        classify,
        "The labels of texts by a classifier, as in Infinity's API.",
        InfinityClassifyResponse,
        InfinityClassifyRequest,
        (*ENCODES, EmptyInput, InvalidItem),
        example={"input": ["I am very happy."]},
        scope="embed",
        truncates=True,
        body_limit="text_body",
        errors_as="openai",
    ),
)
