"""The OpenAPI 3.1 document, made of the route table and the wire models. Limits are the running service's."""

import re
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from app.api.dialects import Dialect
from app.api.route import Route
from app.errors import InternalError, ServiceError
from app.schemas import ErrorResponse, Json, OpenAiErrorResponse
from app.settings import Limits

REFS = "#/components/schemas/{model}"
ERROR_MODELS: dict[Dialect, type[BaseModel]] = {"native": ErrorResponse, "openai": OpenAiErrorResponse}
ANSWER_HEADERS: Json = {
    "x-request-id": {"description": "Yours, if you sent a decent one.", "schema": {"type": "string"}},
    "server-timing": {
        "description": "Milliseconds: decode, cache, tokenize, queue, inference (where a model was asked) and total.",
        "schema": {"type": "string"},
    },
    "traceparent": {"description": "Yours, if you sent a valid one.", "schema": {"type": "string"}},
    "x-served-by": {"description": "The replica that answered.", "schema": {"type": "string"}},
}
RETRY_AFTER: Json = {"description": "Seconds after which trying again makes sense.", "schema": {"type": "integer"}}


def document(routes: Sequence[Route], limits: Limits, version: str) -> Json:
    """Every route with its request, its answers and its errors."""
    requests = [route.request for route in routes if route.request]
    answers = [route.response for route in routes if route.response]
    wanted: list[tuple[type[BaseModel], Any]] = [(model, "validation") for model in requests]
    wanted += [(model, "serialization") for model in (*answers, *ERROR_MODELS.values())]
    refs, schemas = models_json_schema(list(dict.fromkeys(wanted)), ref_template=REFS)
    named = {(model, mode): ref for (model, mode), ref in refs.items()}
    paths: dict[str, Json] = defaultdict(dict)
    for route in routes:
        paths[route.template][route.method.lower()] = _operation(route, named)
    whole = {
        "openapi": "3.1.0",
        "info": {
            "title": "Ray Embedding Service",
            "version": version,
            "description": "Text and image embeddings. Times are milliseconds, vectors float32.",
        },
        "paths": dict(paths),
        "components": {"schemas": schemas.get("$defs", {})},
    }
    filled: Json = _with_limits(whole, limits.model_dump())
    return filled


def _operation(route: Route, named: dict[tuple[Any, Any], Json]) -> Json:
    operation: Json = {
        "operationId": f"{route.method.lower()}{re.sub(r'[^A-Za-z0-9]+', '_', route.template).rstrip('_')}",
        "summary": route.summary,
        "responses": _responses(route, named),
    }
    if route.parameters:
        operation["parameters"] = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}, "description": f"A {name}."}
            for name in route.parameters
        ]
    if route.request:
        content: Json = {"application/json": {"schema": named[route.request, "validation"]}}
        if route.example is not None:
            content["application/json"]["example"] = route.example
        if route.upload:
            content["multipart/form-data"] = {"schema": route.upload}
        operation["requestBody"] = {"required": not route.optional_body, "content": content}
    return operation


def _responses(route: Route, named: dict[tuple[Any, Any], Json]) -> Json:
    schema = named[route.response, "serialization"] if route.response else {}
    answer = {"content": {route.media: {"schema": schema}}, "headers": ANSWER_HEADERS}
    responses: Json = {"200": {"description": "The answer.", **answer}}
    for status in route.statuses:
        responses[str(status)] = {"description": "Not yet; the body says why.", **answer}
    grouped: dict[int, list[type[ServiceError]]] = defaultdict(list)
    possible: tuple[type[ServiceError], ...] = (*route.errors, InternalError)
    for error in dict.fromkeys(possible):
        grouped[error.status].append(error)
    for status, errors in sorted(grouped.items()):
        headers = ANSWER_HEADERS | ({"retry-after": RETRY_AFTER} if status in (429, 503) else {})
        responses[str(status)] = {
            "description": ", ".join(dict.fromkeys(error.code for error in errors)),
            "content": {"application/json": {"schema": named[ERROR_MODELS[route.errors_as], "serialization"]}},
            "headers": headers,
        }
    return responses


def _with_limits(node: Any, limits: Json) -> Any:
    """`<name of a limit>` in a description becomes its number."""
    if isinstance(node, dict):
        return {
            key: _filled(value, limits)
            if key == "description" and isinstance(value, str)
            else _with_limits(value, limits)
            for key, value in node.items()
        }
    return [_with_limits(value, limits) for value in node] if isinstance(node, list) else node


def _filled(text: str, limits: Json) -> str:
    return re.sub(r"<([a-z_]+)>", lambda found: f"{limits[found[1]]:,}", text)
