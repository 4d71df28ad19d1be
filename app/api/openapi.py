"""Builds the OpenAPI 3.1 document from the route table, the wire models and the configured limits."""

import re
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from app.api import openapi_binary
from app.api.route import Route
from app.api.wire.error_formats import ErrorFormat, statuses_of
from app.config.args import Limits
from app.errors import InternalError, ServiceError
from app.schemas import ErrorResponse, Json, OpenAiErrorResponse, TeiErrorResponse

REFS = "#/components/schemas/{model}"
ERROR_MODELS: dict[ErrorFormat, type[BaseModel]] = {
    "native": ErrorResponse,
    "openai": OpenAiErrorResponse,
    "tei": TeiErrorResponse,
}
ANSWER_HEADERS: Json = {
    "x-request-id": {"description": "Yours, if you sent a valid one.", "schema": {"type": "string"}},
    "server-timing": {
        "description": "Milliseconds: decode, cache, tokenize, queue, inference (if a model was used) and total.",
        "schema": {"type": "string"},
    },
    "traceparent": {"description": "Yours, if you sent a valid one.", "schema": {"type": "string"}},
    "x-served-by": {"description": "The replica that answered.", "schema": {"type": "string"}},
}
PATH_PARAMETERS: dict[str, Json] = {
    "model": {
        "description": "Full or short name of a served model, or an alias; slashes need no escaping.",
        "example": "sentence-transformers/all-MiniLM-L6-v2",
    },
    "file": {"description": "A file of the page.", "example": "main.js"},
}
RETRY_AFTER: Json = {"description": "Seconds after which a retry makes sense.", "schema": {"type": "integer"}}


QUOTA: Json = {
    "ratelimit-policy": {
        "description": 'Your quotas, e.g. "requests";q=600;w=60: 600 in 60 s (IETF draft, RateLimit header fields).',
        "schema": {"type": "string"},
    },
    "ratelimit": {
        "description": 'Your remaining quotas, e.g. "requests";r=599;t=60: 599 left, reset in 60 s. The same values '
        "are in x-ratelimit-limit-requests, -remaining-requests, -reset-requests, and -tokens.",
        "schema": {"type": "string"},
    },
}
ABOUT = (
    "Text and image embeddings. Times are in milliseconds, vectors in float32. An unknown path is a 404 and an unknown "
    "method a 405 with `Allow`, both with an error body. If a model takes more than <deadline_s> s, the response is a "
    "504; if more than <queue_s> s of work are queued, a 429. `Range` is ignored.\n\n"
    "JSON is parsed strictly: UTF-8 without lone surrogates, numbers within the range of a double, no NaN or Infinity, "
    "at most some hundreds of levels deep; of duplicate fields the last one counts. Bodies must be uncompressed: a "
    "`Content-Encoding` other than `identity` is a 415, as is a wrong `Content-Type`."
)
CHALLENGE: Json = {"www-authenticate": {"description": "Bearer.", "schema": {"type": "string"}}}
SECURITY: Json = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key as `Authorization: Bearer KEY`."},
    "apiKey": {"type": "apiKey", "in": "header", "name": "x-api-key", "description": "The same key in a header."},
}


def document(routes: Sequence[Route], limits: Limits, version: str, *, keys: bool) -> Json:
    """Describe every route with its requests, responses and errors. `keys`: whether API keys are required."""
    requests = [route.request for route in routes if route.request]
    answers = [model for route in routes for model in (route.response, route.short) if model]
    wanted: list[tuple[type[BaseModel], Any]] = [(model, "validation") for model in requests]
    wanted += [(model, "serialization") for model in (*answers, *ERROR_MODELS.values())]
    refs, schemas = models_json_schema(list(dict.fromkeys(wanted)), ref_template=REFS)
    named = {(model, mode): ref for (model, mode), ref in refs.items()}
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
        "servers": [{"url": "/", "description": "Where this document came from."}],
        "paths": dict(paths),
        "components": {"schemas": schemas.get("$defs", {}), "securitySchemes": SECURITY},
    }
    filled: Json = _with_limits(whole, limits.model_dump())
    return filled


def _operation(route: Route, named: dict[tuple[Any, Any], Json], keys: bool) -> Json:
    operation: Json = {
        "operationId": f"{route.method.lower()}{re.sub(r'[^A-Za-z0-9]+', '_', route.template).rstrip('_')}",
        "summary": route.summary,
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
        parameters += openapi_binary.body_parameters()
    if parameters:
        operation["parameters"] = parameters
    if route.request:
        content: Json = {"application/json": {"schema": named[route.request, "validation"]}}
        if route.example is not None:
            content["application/json"]["example"] = route.example
        if route.upload:
            content["multipart/form-data"] = {"schema": route.upload}
        if route.matrix_body:
            content |= openapi_binary.BODY
        operation["requestBody"] = {
            "description": f"At most <{route.body_limit}> bytes.",
            "required": not route.optional_body,
            "content": content,
        }
    return operation


def _responses(route: Route, named: dict[tuple[Any, Any], Json]) -> Json:
    schema = named[route.response, "serialization"] if route.response else {}
    if route.short:
        schema = {"anyOf": [schema, named[route.short, "serialization"]]}
    headers = ANSWER_HEADERS | ({} if route.scope == "open" else QUOTA)
    answer = {"content": {route.media: {"schema": schema}}, "headers": headers}
    responses: Json = {"200": {"description": "The answer.", **answer}}
    if route.matrix_answer:
        responses["200"] = {
            "description": "The response in the media type that `Accept` asks for; JSON if it has no preference.",
            "content": answer["content"] | openapi_binary.ANSWER,
            "headers": ANSWER_HEADERS | openapi_binary.ANSWER_HEADERS,
        }
    if route.is_file:
        responses["304"] = {"description": "`If-None-Match` matches the current version.", "headers": ANSWER_HEADERS}
    for status in route.statuses:
        responses[str(status)] = {"description": "Not yet; the body says why.", **answer}
    grouped: dict[int, list[type[ServiceError]]] = defaultdict(list)
    possible: tuple[type[ServiceError], ...] = (*route.refusals, *route.errors, InternalError)
    for error in dict.fromkeys(possible):
        for status in statuses_of(error, route.errors_as):
            grouped[status].append(error)
    for status, errors in sorted(grouped.items()):
        headers = ANSWER_HEADERS | ({"retry-after": RETRY_AFTER} if status in (429, 503) else {})
        headers |= CHALLENGE if status == 401 else QUOTA if status == 429 else {}
        responses[str(status)] = {
            "description": ", ".join(dict.fromkeys(error.code for error in errors)),
            "content": {"application/json": {"schema": named[ERROR_MODELS[route.errors_as], "serialization"]}},
            "headers": headers,
        }
    return responses


def _with_limits(node: Any, limits: Json) -> Any:
    """Replace `<name of a limit>` in descriptions and in `maxItems` by its value."""
    if isinstance(node, dict):
        return {key: _with_limits_in(key, value, limits) for key, value in node.items()}
    return [_with_limits(value, limits) for value in node] if isinstance(node, list) else node


def _with_limits_in(key: str, value: Any, limits: Json) -> Any:
    match key, value:
        case "description", str():
            return _fill_in(value, limits)
        case "maxItems", str():
            return limits[value.strip("<>")]
        case _:
            return _with_limits(value, limits)


def _fill_in(text: str, limits: Json) -> str:
    return re.sub(r"<([a-z_]+)>", lambda found: f"{limits[found[1]]:,}", text)
