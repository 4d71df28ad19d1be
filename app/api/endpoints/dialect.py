"""What the embedding routes of all APIs share. A client's dialect is a schema and two functions: the one native request
out of its body, and its answer out of the vectors."""

import base64
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Final, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from app.api.backend import Backend
from app.api.route import ENCODES, Route
from app.api.wire import bodies
from app.api.wire.embeddings import VectorFormat, record
from app.api.wire.inputs import Inputs
from app.api.wire.json_response import json_response
from app.errors import (
    EmptyInput,
    InvalidImage,
    InvalidItem,
    InvalidRequest,
    ModelNotFound,
    ServiceError,
)
from app.schemas.compatibility import CompatibleWire
from app.service import matryoshka, prompts
from app.service.batch import check_counts, embed_all
from app.service.chunks import embed_documents
from app.service.embedding_service import EmbeddingService
from app.service.result import EmbeddingResult
from app.types import ModelInfo, ReadOptions
from app.words import Cut, Kind

SUFFIXES: Final = ("query", "passage")
B = TypeVar("B", bound=CompatibleWire)


@dataclass(frozen=True, slots=True)
class Asked:
    """The native request.

    Args:
        param: The field that holds the inputs. `names`: those of its inputs by index, if not `param.index`.
        whole: How to allow a text that is too long to be truncated; empty: it is.
        most: A field, and the tokens that it allows each text; more are an error, since nothing is cut by it.
        late: The field that asks to read the texts as one document, whose chunks they are; empty: each on its own.
        kind: Of the default model, where that does not follow from the inputs.
        one_space: Texts alone go to the default image model too, where one is served: they are compared with images.
    """

    inputs: Inputs
    model: str | None = None
    reading: ReadOptions = field(default_factory=ReadOptions)
    form: VectorFormat = field(default_factory=VectorFormat)
    param: str = "input"
    names: Callable[[int], str] | None = None
    whole: str = ""
    most: tuple[str, int | None] = ("", None)
    late: str = ""
    kind: Kind | None = None
    one_space: bool = False

    def name(self, index: int) -> str:
        return self.names(index) if self.names else f"{self.param}.{index}"


@dataclass(frozen=True, slots=True)
class Embedded(Generic[B]):
    """A request that was answered; `id`: the request's."""

    body: B
    asked: Asked
    info: ModelInfo
    rows: NDArray[np.float32]
    tokens: Sequence[int]
    backend: Backend
    request: Request
    notes: Sequence[str] = ()

    @property
    def id(self) -> str:
        return str(self.request.state.request_id)

    def vectors(self, **changes: Any) -> NDArray[Any]:
        """In the format asked for; `changes`: as of `VectorFormat`."""
        return replace(self.asked.form, **changes).of(self.rows, self.info)

    @property
    def warning(self) -> str | None:
        size, info = self.asked.form.dimensions, self.info
        if not size or size >= info.dimensions or matryoshka.is_trained_for_it(info, self.backend.args):
            return " ".join(self.notes) or None
        return " ".join([*self.notes, ""]) + (
            f"{info.id} was not trained for shortened vectors: with {size} of {info.dimensions} dimensions "
            "search results will be worse."
        )


async def embed(request: Request, backend: Backend, body: B, asked: Asked) -> Embedded[B]:
    """Raises InvalidRequest for what the model can't do, and InvalidItem for a text that may not be truncated."""
    service = backend.service
    asked = _without_suffix(service, asked)
    given, reading = asked.inputs, asked.reading
    notes: Sequence[str] = ()
    if asked.late:
        if not given.texts or asked.most[1] is not None:
            raise InvalidRequest(f"`{asked.late}` needs texts, none of them cut: one document.", asked.late)
        documents, chunk = [given.texts], f"{asked.param}.{{1}}".format
        done = await embed_documents(service, documents, asked.param, chunk, asked.model, reading, asked.late)
        result, notes = done.result, done.notes
    elif given.texts:
        result = await service.embed_texts(given.texts, asked.model, param=asked.param, reading=reading)
    elif given.objects:
        result = await _embed_objects(service, asked)
    else:
        result = await service.embed_ids(given.ids, asked.model, param=asked.param)
        if reading.prompt_name is not None or prompts.choose(result.info, reading) is not None:
            name = reading.param if reading.prompt_name is not None else "input_type"
            raise InvalidRequest(f"`{name}` needs texts, not token ids.", name)
    record(request, result)
    rows, tokens, truncated = result.table()
    if truncated and asked.whole:
        which, limit = asked.name(truncated[0]), result.info.max_tokens
        raise InvalidItem(f"`{which}` must have at most {limit} tokens; {asked.whole}.", which)
    field, most = asked.most
    for i, count in enumerate(tokens):
        if most is not None and 0 <= most < count:
            message = f"`{asked.name(i)}` has {count} tokens; shorten it: `{field}` is not supported."
            raise InvalidRequest(message, field)
    return Embedded(body, asked, result.info, rows, tokens, backend, request, notes)


def dialect(
    path: str,
    summary: str,
    response: type[BaseModel],
    schema: type[B],
    read: Callable[[B], Asked],
    write: Callable[[Embedded[B]], Any],
    *,
    told_by: re.Pattern[bytes] | None = None,
    **more: Any,
) -> Route:
    """A route that embeds. `told_by`: what tells in a body that its client reads errors in the format of the route's
    `errors_may_be`. `more`: as of `Route`."""

    known: dict[str, Any] = {"errors": (*ENCODES, EmptyInput, InvalidItem, InvalidImage), "body_limit": "image_body"}
    known |= {"scope": "embed", "truncates": True, **more}

    async def answer(request: Request, backend: Backend) -> Response:
        raw = await bodies.read_json(request, getattr(backend.args.limits, known["body_limit"]))
        try:
            body = bodies.parse(raw, schema)
            headers = body.ignored_header()
            return json_response(write(await embed(request, backend, body, read(body))), headers=headers)
        except ServiceError:
            if told_by is not None and told_by.search(raw):
                [request.state.dialect] = more["errors_may_be"]
            raise

    return Route("POST", path, answer, summary, response, schema, **known)


def one_of(body: CompatibleWire, *names: str) -> tuple[str, Any]:
    """The field that was sent, of some with one meaning, and its value. Raises InvalidRequest if several differ."""
    given = [(name, getattr(body, name)) for name in names if getattr(body, name) is not None]
    for name, value in given[1:]:
        if value != given[0][1]:
            raise InvalidRequest(f"`{given[0][0]}` and `{name}` differ: send one of them.", name)
    return given[0] if given else (names[0], None)


def encoded(vectors: NDArray[Any]) -> list[str]:
    """base64 of each vector's little-endian bytes."""
    ordered = np.ascontiguousarray(vectors, vectors.dtype.newbyteorder("<"))
    return [base64.b64encode(row.data).decode() for row in ordered]


def truncation(truncate: str | bool | None) -> tuple[bool, Cut | None]:
    """Whether too long is an error, and the side that is cut (None: the model's own): of NONE, START and END, or true
    and false."""
    sides: dict[str, Cut] = {"START": "start", "END": "end"}
    return truncate in (False, "NONE", "none"), sides.get(str(truncate).upper())


def _without_suffix(service: EmbeddingService, asked: Asked) -> Asked:
    """NIM's `model-query` and `model-passage` are the model with that input type, if they are no model themselves."""
    name, _, task = (asked.model or "").rpartition("-")
    if task not in SUFFIXES or not name or _is_served(service, asked.model) or not _is_served(service, name):
        return asked
    given = asked.reading.input_type
    if given is not None and prompts.task_of(given) != prompts.task_of(task):
        raise InvalidRequest(f"`input_type` is {given}, but `model` ends in -{task}.", "input_type")
    return replace(asked, model=name, reading=replace(asked.reading, input_type=given or task))


def _is_served(service: EmbeddingService, name: str | None) -> bool:
    with suppress(ModelNotFound):
        service.encoder(name, "text")
        return True
    return False


async def _embed_objects(service: EmbeddingService, asked: Asked) -> EmbeddingResult:
    """Embed texts and images with one model."""
    items, model = asked.inputs.objects, asked.model
    check_counts(service.limits, items, asked.param)
    if model is None:
        has_images = any(item.kind == "image" for item in items)
        if asked.one_space and service.default_model("image"):
            has_images = has_images or "text" in service.encoder(None, "image").kinds
        model = service.encoder(None, asked.kind or ("image" if has_images else "text")).state.id
    return await embed_all(service, items, model, asked.reading, asked.name)
