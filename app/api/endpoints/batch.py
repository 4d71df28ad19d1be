"""`POST /embed/batch`: texts and images in one request; one bad item does not fail the others."""

import time
from dataclasses import dataclass

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response

from app.api.backend import Backend
from app.api.wire import bodies
from app.api.wire.embeddings import Form, milliseconds
from app.api.wire.json_response import json_response
from app.cache.entry import unpack
from app.config.args import Limits
from app.errors import InvalidItem, Overloaded, PayloadTooLarge, ServiceError
from app.schemas import BatchItem, BatchRequest, Json
from app.schemas.validation import as_invalid_request
from app.service.batch import Item, Outcome, embed_mixed
from app.types import ReadOptions


async def embed_batch(request: Request) -> Response:
    started = time.perf_counter()
    backend: Backend = request.app.state.backend
    limits = backend.args.limits
    body = bodies.parse(await bodies.read_json(request, limits.image_body), BatchRequest)
    if len(body.items) > limits.texts:
        raise PayloadTooLarge(f"{len(body.items)} items; at most {limits.texts:,} in one request.", "items")
    items = [_item(given, i) for i, given in enumerate(body.items)]
    _check_images(items, limits)
    reading = ReadOptions(body.prompt_name, body.input_type)
    outcomes, batches = await embed_mixed(backend.service, items, body.batch_size, reading=reading)
    _check_taken(outcomes)
    form = Form(body.normalize, body.output_type)
    request.state.answered = _Answered(outcomes)
    written = [_written(outcome, form) for outcome in outcomes]
    models = [about["model"] for _, about in written if "model" in about]
    total = milliseconds(started)
    return json_response(
        {
            "embeddings": [row for row, _ in written],
            "model": models[0] if models else None,
            "totalItems": len(items),
            "batchesProcessed": batches,
            "totalTime": total,
            "avgTimePerItem": round(total / len(items), 3),
            "items": [about for _, about in written],
        }
    )


@dataclass(frozen=True, slots=True)
class _Answered:
    outcomes: list[Outcome | ServiceError]

    def counts(self) -> dict[str, object]:
        """For the log."""
        done = [outcome for outcome in self.outcomes if isinstance(outcome, Outcome)]
        return {
            "model": ",".join(dict.fromkeys(outcome.result.info.id for outcome in done)),
            "items": len(self.outcomes),
            "tokens": sum(int(unpack([outcome.entry])[1][0]) for outcome in done),
            "cache_hits": sum(outcome.cached for outcome in done),
        }


def _check_taken(outcomes: list[Outcome | ServiceError]) -> None:
    """Raises Overloaded if that is why there is nothing to answer with: a status tells more than a list of it."""
    for outcome in outcomes:
        if not isinstance(outcome, Overloaded):
            return
    raise outcomes[0]  # type: ignore[misc]


def _check_images(items: list[Item | ServiceError], limits: Limits) -> None:
    images = sum(isinstance(item, Item) and item.kind == "image" for item in items)
    if images > limits.images:
        raise PayloadTooLarge(f"{images} images; at most {limits.images} in one request.", "items")


def _item(given: object, index: int) -> Item | ServiceError:
    param = f"items.{index}"
    try:
        item = BatchItem.model_validate(given)
    except ValidationError as error:
        wrong = as_invalid_request(error, BatchItem, param)
        return InvalidItem(wrong.message, wrong.param)
    if (item.text is None) == (item.image is None):
        return InvalidItem(f"`{param}` must have either `text` or `image`.", param)
    if item.text is not None:
        return Item("text", item.text, item.model)
    return Item("image", item.image, item.model)


def _written(outcome: Outcome | ServiceError, form: Form) -> tuple[object, Json]:
    """An item's vector (or None) and what stands in `items` for it."""
    if isinstance(outcome, ServiceError):
        return None, {"error": {"code": outcome.code, "message": outcome.message, "param": outcome.param}}
    rows, _, truncated = unpack([outcome.entry])
    info = outcome.result.info
    try:
        row = form.of(rows, info)[0]
    except ServiceError as error:
        return _written(error, form)
    about: Json = {"model": info.id, "dimensions": info.dimensions, "cached": outcome.cached, "space": info.space}
    about |= form.stated(info)
    if truncated[0]:
        about["truncated"] = True
    if info.note:
        about["note"] = info.note
    return row, about
