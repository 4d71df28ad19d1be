"""How embeddings are written: shared by the routes that answer with them."""

import time

from starlette.responses import Response

from app.api.responses import json_response
from app.service import Embeddings
from app.similarity import normalize as to_length_one
from app.types import Vector


def embeddings_response(result: Embeddings, *, normalize: bool, started: float) -> Response:
    """`EmbeddingsResponse`; `started` is on `time.perf_counter`."""
    rows, tokens, truncated = result.table()
    hits = sum(result.hits)
    answer = {
        "embeddings": finished(rows, result, normalize=normalize),
        "model": result.info.id,
        "dimensions": result.info.dimensions,
        "processingTime": milliseconds(started),
        "cached": hits == len(rows),
        "cacheHits": hits,
        "usage": {"tokens": sum(tokens)},
        "truncated": truncated,
    }
    if result.info.note:
        answer["note"] = result.info.note
    return json_response(answer)


def finished(rows: Vector, result: Embeddings, *, normalize: bool) -> Vector:
    """The model's output in the form asked for."""
    return to_length_one(rows) if normalize and not result.info.normalized else rows


def milliseconds(started: float) -> float:
    """Since `started`, on `time.perf_counter`."""
    return round((time.perf_counter() - started) * 1e3, 3)
