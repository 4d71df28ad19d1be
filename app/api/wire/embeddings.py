"""Writes responses with embeddings; shared by the embedding routes."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import Response

from app.api.wire.binary import matrix_response
from app.api.wire.json_response import json_response
from app.api.wire.negotiation import JSON
from app.cache.entry import truncated_in
from app.errors import InvalidRequest
from app.schemas.wire import Json
from app.service.result import EmbeddingResult
from app.types import ModelInfo, OutputType, Vector
from app.vectors.quantization import quantize, stated_range
from app.vectors.similarity import normalize as to_length_one


@dataclass(frozen=True, slots=True)
class VectorFormat:
    """The vector format that a client asks for. `dimensions`: shorten vectors to this many. `param` and `size`: the
    fields that hold type and dimensions, for error messages."""

    normalize: bool = True
    output: OutputType = "float32"
    dimensions: int | None = None
    param: str = "outputType"
    size: str = "dimensions"

    def of(self, rows: Vector, info: ModelInfo) -> NDArray[Any]:
        """The model's output in this format. Raises InvalidRequest if the model does not support it."""
        if not self.normalize and not info.normalized and self.output in ("int8", "uint8"):
            raise InvalidRequest(f"{self.output} needs vectors of length 1: leave `normalize` true.", self.param)
        size = self.dimensions or info.dimensions
        if size > info.dimensions:
            message = f"`{self.size}` is {size}, but vectors of {info.id} have {info.dimensions}: ask for at most that."
            raise InvalidRequest(message, self.size)
        if size < info.dimensions:
            rows = np.ascontiguousarray(rows[:, :size])
        if self.normalize and not (info.normalized and size == info.dimensions):
            rows = to_length_one(rows)
        return quantize(rows, self.output, self.param)

    def range_field(self, info: ModelInfo) -> Json:
        """The response's `range` field, for int8 and uint8."""
        if self.output == "float32":
            return {}
        levels = stated_range(self.dimensions or info.dimensions, self.output)
        return {"range": levels} if levels else {}


def embeddings_response(request: Request, result: EmbeddingResult, form: VectorFormat, media: str) -> Response:
    """An `EmbeddingsResponse`, or a binary matrix if `media` is not JSON."""
    record(request, result)
    rows, tokens, truncated = result.table()
    vectors = form.of(rows, result.info)
    answer = about(request, result, tokens, truncated, form)
    if media != JSON:
        return matrix_response(vectors, media, answer)
    return json_response({"embeddings": vectors} | answer)


def about(
    request: Request,
    result: EmbeddingResult,
    tokens: Sequence[int],
    truncated: Sequence[int],
    form: VectorFormat = VectorFormat(),
) -> Json:
    """What an `EmbeddingsResponse` says beside the vectors."""
    hits = sum(result.hits)
    answer: Json = {
        "model": result.info.id,
        "dimensions": result.info.dimensions,
        "processingTime": elapsed_ms(request),
        "cached": hits == len(tokens),
        "cacheHits": hits,
        "usage": {"tokens": sum(tokens)},
        "truncated": truncated,
        "space": result.info.space,
    }
    if form.output != "float32":
        answer |= {"outputType": form.output} | form.range_field(result.info)
    if result.info.note:
        answer["note"] = result.info.note
    return answer


def record(request: Request, result: EmbeddingResult) -> None:
    """Pass the result's counts and times to the middleware, for response headers and the request log."""
    request.state.counts = result.counts
    request.state.truncated = truncated_in(result.entries)
    stages = result.stages
    request.state.stages = {
        "decode": stages.decode_ms,
        "cache": result.cache_ms,
        "tokenize": stages.tokenize_ms,
        "queue": stages.queue_ms,
        "inference": stages.inference_ms,
    }


def elapsed_ms(request: Request) -> float:
    return round((time.perf_counter() - request.state.began) * 1e3, 3)  # type: ignore[no-any-return]
