"""`POST /embed/batch`: texts and images in one request; an invalid item does not fail the others."""

from collections.abc import Sequence

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response

from app.api.backend import Backend
from app.api.wire import bodies
from app.api.wire.embeddings import VectorFormat, elapsed_ms
from app.api.wire.json_response import json_response
from app.cache.entry import tokens_of, unpack
from app.errors import InvalidItem, Overloaded, PayloadTooLarge, ServiceError
from app.schemas.batch import BatchItem, BatchRequest
from app.schemas.validation import as_invalid_request
from app.schemas.wire import Json
from app.service.batch import Item, Outcome, embed_mixed
from app.types import ReadOptions


async def embed_batch(request: Request, backend: Backend) -> Response:
    limits = backend.args.limits
    body = bodies.parse(await bodies.read_json(request, limits.image_body), BatchRequest)
    if len(body.items) > limits.texts:
        raise PayloadTooLarge(f"{len(body.items)} items; at most {limits.texts:,} in one request.", "items")
    items = [_item(given, i) for i, given in enumerate(body.items)]
    images = sum(isinstance(item, Item) and item.kind == "image" for item in items)
    if images > limits.images:
        raise PayloadTooLarge(f"{images} images; at most {limits.images} in one request.", "items")
    reading = ReadOptions(body.prompt_name, body.input_type)
    outcomes, batches = await embed_mixed(backend.service, items, body.batch_size, reading=reading)
    if all(isinstance(outcome, Overloaded) for outcome in outcomes):
        raise outcomes[0]  # type: ignore[misc] # so that the response has this status
    form = VectorFormat(body.normalize, body.output_type)
    request.state.counts = lambda: _counts(outcomes)
    results = [_result(outcome, form) for outcome in outcomes]
    models = [metadata["model"] for _, metadata in results if "model" in metadata]
    request.state.truncated = sum("truncated" in metadata for _, metadata in results)
    total = elapsed_ms(request)
    return json_response(
        {
            "embeddings": [row for row, _ in results],
            "model": models[0] if models else None,
            "totalItems": len(items),
            "batchesProcessed": batches,
            "totalTime": total,
            "avgTimePerItem": round(total / len(items), 3),
            "items": [metadata for _, metadata in results],
        }
    )


def _counts(outcomes: Sequence[Outcome | ServiceError]) -> Json:
    """The fields of the request log."""
    done = [outcome for outcome in outcomes if isinstance(outcome, Outcome)]
    return {
        "model": ",".join(dict.fromkeys(outcome.result.info.id for outcome in done)),
        "items": len(outcomes),
        "tokens": tokens_of([outcome.entry for outcome in done]),
        "cache_hits": sum(outcome.cached for outcome in done),
    }


def _item(given: object, index: int) -> Item | ServiceError:
    param = f"items.{index}"
    try:
        item = BatchItem.model_validate(given)
    except ValidationError as error:
        invalid = as_invalid_request(error, BatchItem, param)
        return InvalidItem(invalid.message, invalid.param)
    if (item.text is None) == (item.image is None):
        return InvalidItem(f"`{param}` must have either `text` or `image`.", param)
    if item.text is not None:
        return Item("text", item.text, item.model)
    return Item("image", item.image, item.model)


def _result(outcome: Outcome | ServiceError, form: VectorFormat) -> tuple[object, Json]:
    """An item's vector (or None) and its entry in `items`."""
    if isinstance(outcome, ServiceError):
        return None, {"error": {"code": outcome.code, "message": outcome.message, "param": outcome.param}}
    rows, _, truncated = unpack([outcome.entry])
    info = outcome.result.info
    try:
        row = form.of(rows, info)[0]
    except ServiceError as error:
        return _result(error, form)
    metadata: Json = {"model": info.id, "dimensions": info.dimensions, "cached": outcome.cached, "space": info.space}
    metadata |= form.range_field(info)
    if truncated[0]:
        metadata["truncated"] = True
    if info.note:
        metadata["note"] = info.note
    return row, metadata
