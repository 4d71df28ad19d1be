"""Builds the OpenAPI 3.1 document from the route table, the wire models and the configured limits."""

import re
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from app.api.route import Route
from app.api.wire.json_response import ErrorFormat, statuses_of
from app.api.wire.negotiation import NPY, OCTETS
from app.config.args import Limits
from app.errors import InternalError, ServiceError
from app.schemas.compatibility import CohereErrorResponse, PlainErrorResponse, VoyageErrorResponse
from app.schemas.openai import OpenAiErrorResponse
from app.schemas.similarity import MatrixOptions
from app.schemas.tei import TeiErrorResponse
from app.schemas.wire import ErrorResponse, Json
from app.vectors.binary_body import SHAPE


def header(description: str, kind: str = "string") -> Json:
    return {"description": description, "schema": {"type": kind}}


def _of_binary(text: str, example: Any, kind: str = "string") -> Json:
    return header(f"Binary responses only: {text}", kind) | {"example": example}


def _matrix(rows: str, file: str = "") -> Json:
    """The schemas of a binary body."""
    shape = f"{rows} little-endian, row by row; `{SHAPE}` has the shape."
    return {
        media: {"schema": {"type": "string", "format": "binary", "description": description}}
        for media, description in ((OCTETS, shape), (NPY, f"The same matrix as a NumPy .npy file.{file}"))
    }


REFS = "#/components/schemas/{model}"
ERROR_MODELS: dict[ErrorFormat, type[BaseModel]] = {
    "native": ErrorResponse,
    "openai": OpenAiErrorResponse,
    "tei": TeiErrorResponse,
    "cohere": CohereErrorResponse,
    "voyage": VoyageErrorResponse,
    "plain": PlainErrorResponse,
}
ANSWER_HEADERS: Json = {
    "x-request-id": header("Yours, if you sent a valid one."),
    "server-timing": header("Milliseconds: decode, cache, tokenize, queue, inference (if a model was used) and total."),
    "traceparent": header("Yours, if you sent a valid one."),
    "x-served-by": header("The replica that answered."),
}
TRUNCATED: Json = {
    "x-embedding-truncated": header("How many inputs were truncated; absent if none were.", "integer") | {"example": 2}
}
MATRIX_ANSWER = _matrix("One row per input in the outputType asked for,")
MATRIX_BODY = _matrix(
    "(1 + n, d) float32, the query's row first, then n · d at most <vector_elements> numbers,",
    " float32 or float64, at most <vector_body> bytes.",
)
MATRIX_HEADERS: Json = {
    SHAPE: _of_binary("rows and columns.", "100,384"),
    "x-embedding-dtype": _of_binary("NumPy's name of a number's type: float32, int8 or uint8.", "float32"),
    "x-embedding-model": _of_binary(
        "full name of the model; percent-encoded if it is not ASCII, as are all of these headers.",
        "sentence-transformers/all-MiniLM-L6-v2",
    ),
    "x-embedding-dimensions": _of_binary("dimensions of the model.", 384, "integer"),
    "x-embedding-space": _of_binary("the vector space: only vectors of the same space can be compared.", "model@print"),
    "x-embedding-tokens": _of_binary("tokens of all inputs, including special tokens.", 412, "integer"),
    "x-embedding-cache-hits": _of_binary("how many of the vectors came from the cache.", 17, "integer"),
    "x-embedding-truncated": header(
        "JSON responses: how many inputs were truncated. Binary responses: their indices, in one or more header lines. "
        "Absent if none were."
    )
    | {"example": "3,17"},
    "x-embedding-range": _of_binary("int8, uint8: the range of values that the levels cover.", "-0.255,0.255"),
    "x-embedding-note": _of_binary("a remark on the model, e.g. that it is a backup.", "A backup."),
}
PATH_PARAMETERS: dict[str, Json] = {
    "model": {
        "description": "Full or short name of a served model, or an alias; slashes need no escaping.",
        "example": "sentence-transformers/all-MiniLM-L6-v2",
    },
    "file": {"description": "A file of the page.", "example": "main.js"},
}
RETRY_AFTER = header("Seconds after which a retry makes sense.", "integer")
QUOTA: Json = {
    "ratelimit-policy": header(
        'Your quotas, e.g. "requests";q=600;w=60: 600 in 60 s (IETF draft, RateLimit header fields).'
    ),
    "ratelimit": header(
        'Your remaining quotas, e.g. "requests";r=599;t=60: 599 left, reset in 60 s. The same values '
        "are in x-ratelimit-limit-requests, -remaining-requests, -reset-requests, and -tokens."
    ),
}
ABOUT = (
    "Text and image embeddings. Times are in milliseconds, vectors in float32. An unknown path is a 404 and an unknown "
    "method a 405 with `Allow`, both with an error body. If a model takes more than <deadline_s> s, the response is a "
    "504; if more than <queue_s> s of work are queued, a 429. `Range` is ignored.\n\n"
    "JSON is parsed strictly: UTF-8 without lone surrogates, numbers within the range of a double, no NaN or Infinity, "
    "at most some hundreds of levels deep; of duplicate fields the last one counts. Bodies must be uncompressed: a "
    "`Content-Encoding` other than `identity` is a 415, as is a wrong `Content-Type`."
)
CHALLENGE: Json = {"www-authenticate": header("Bearer.")}
SECURITY: Json = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key as `Authorization: Bearer KEY`."},
    "apiKey": {"type": "apiKey", "in": "header", "name": "x-api-key", "description": "The same key in a header."},
}


def document(routes: Sequence[Route], limits: Limits, version: str, *, keys: bool) -> Json:
    """Describe every route with its requests, responses and errors. `keys`: whether API keys are required."""
    requests = [route.request for route in routes if route.request]
    answers = [route.response for route in routes if route.response]
    wanted: list[tuple[type[BaseModel], Any]] = [(model, "validation") for model in requests]
    wanted += [(model, "serialization") for model in (*answers, *ERROR_MODELS.values())]
    refs, schemas = models_json_schema(list(dict.fromkeys(wanted)), ref_template=REFS)
    named = {(model, mode): ref for (model, mode), ref in refs.items()}
    for route in routes:
        # One schema for both answers, since no field says which of two it is: what both have is required.
        if route.response and route.short and keys:
            schemas["$defs"][route.response.__name__]["required"] = list(route.short.model_fields)
    paths: dict[str, Json] = defaultdict(dict)
    for route in routes:
        paths[route.template][route.method.lower()] = _operation(route, named, keys)
    whole = {
        "openapi": "3.1.0",
        "info": {
            "title": "Ray Embedding Service",
            "version": version,
            "description": ABOUT,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "tags": [{"name": group} for group in dict.fromkeys(route.group for route in routes)],
        "servers": [{"url": "/", "description": "Where this document came from."}],
        "paths": dict(paths),
        "components": {"schemas": schemas.get("$defs", {}), "securitySchemes": SECURITY},
    }
    return _with_limits(whole, limits.model_dump())  # type: ignore[no-any-return]


def _operation(route: Route, named: dict[tuple[Any, Any], Json], keys: bool) -> Json:
    operation: Json = {
        "operationId": f"{route.method.lower()}{re.sub(r'[^A-Za-z0-9]+', '_', route.template).rstrip('_')}",
        "summary": route.summary,
        "tags": [route.group],
        "responses": _responses(route, named),
        "x-scope": route.scope,
    }
    if route.scope != "open":
        # Either scheme. If no keys are required, none is allowed as well.
        operation["security"] = [{"bearer": []}, {"apiKey": []}, *([] if keys else [{}])]
    parameters: list[Json] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} | PATH_PARAMETERS[name]
        for name in route.parameters
    ]
    if route.matrix_body:
        parameters += _body_parameters()
    if parameters:
        operation["parameters"] = parameters
    if route.request:
        content: Json = {"application/json": {"schema": named[route.request, "validation"]}}
        if route.example is not None:
            content["application/json"]["example"] = route.example
        if route.upload:
            content["multipart/form-data"] = {"schema": route.upload}
        if route.matrix_body:
            content |= MATRIX_BODY
        operation["requestBody"] = {
            "description": f"At most <{route.body_limit}> bytes.",
            "required": not route.optional_body,
            "content": content,
        }
    return operation


def _body_parameters() -> list[Json]:
    """The query and header parameters of a binary request, which has no body fields."""
    only = "Binary bodies only (JSON has a field of this name)."
    shape = {
        "name": SHAPE,
        "in": "header",
        "required": False,
        "description": f"Required with {OCTETS}: rows and columns of the body, including the query's row.",
        "schema": {"type": "string", "pattern": "^[0-9]+,[0-9]+$"},
        "example": "10001,384",
    }
    fields = MatrixOptions.model_json_schema()["properties"].items()
    options = [
        {
            "name": name,
            "in": "query",
            "required": False,
            "schema": field,
            "description": f"{only} {field['description']}",
        }
        for name, field in fields
    ]
    return [*options, shape]


def _responses(route: Route, named: dict[tuple[Any, Any], Json]) -> Json:
    schema = named[route.response, "serialization"] if route.response else {}
    headers = ANSWER_HEADERS | ({} if route.scope == "open" else QUOTA) | (TRUNCATED if route.truncates else {})
    answer = {"content": {route.media: {"schema": schema}}, "headers": headers}
    responses: Json = {"200": {"description": "The answer.", **answer}}
    if route.matrix_answer:
        responses["200"] = {
            "description": "The response in the media type that `Accept` asks for; JSON if it has no preference.",
            "content": answer["content"] | MATRIX_ANSWER,
            "headers": ANSWER_HEADERS | MATRIX_HEADERS,
        }
    if route.is_file:
        responses["304"] = {"description": "`If-None-Match` matches the current version.", "headers": ANSWER_HEADERS}
    for status in route.statuses:
        responses[str(status)] = {"description": "Not yet; the body says why.", **answer}
    grouped: dict[int, list[tuple[ErrorFormat, str]]] = defaultdict(list)
    possible: tuple[type[ServiceError], ...] = (*route.refusals, *route.errors, InternalError)
    for error in dict.fromkeys(possible):
        for format_ in route.error_formats:
            for status in statuses_of(error, format_):
                grouped[status].append((format_, error.code))
    for status, errors in sorted(grouped.items()):
        forms = [named[ERROR_MODELS[form], "serialization"] for form in dict.fromkeys(form for form, _ in errors)]
        headers = ANSWER_HEADERS | ({"retry-after": RETRY_AFTER} if status in (429, 503) else {})
        headers |= CHALLENGE if status == 401 else QUOTA if status == 429 else {}
        responses[str(status)] = {
            "description": ", ".join(dict.fromkeys(code for _, code in errors)),
            "content": {"application/json": {"schema": forms[0] if len(forms) == 1 else {"anyOf": forms}}},
            "headers": headers,
        }
    return responses


def _with_limits(node: Any, limits: Json, key: str = "") -> Any:
    """Replace `<name of a limit>` in descriptions and in `maxItems` by its value."""
    match node:
        case dict():
            return {name: _with_limits(value, limits, name) for name, value in node.items()}
        case list():
            return [_with_limits(value, limits) for value in node]
        case str() if key == "description":
            return re.sub(r"<([a-z_]+)>", lambda found: f"{limits[found[1]]:,}", node)
        case str() if key == "maxItems":
            return limits[node.strip("<>")]
    return node
