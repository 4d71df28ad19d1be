"""Each example of the OpenAPI document against the live service, and its answer against the document's schema."""

from typing import Any

import httpx
import jsonschema
import pytest

from app.api.route import Route
from app.api.routes import ROUTES
from app.api.wire.json_response import statuses_of
from app.errors import InvalidRequest
from tests.support import web

JSON_ROUTES = [route for route in ROUTES if route.response]


@pytest.fixture(scope="module")
def document(service: Any) -> Any:
    return web.get(f"{service.url}/openapi.json").json()


@pytest.mark.parametrize("route", JSON_ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_the_example_runs_and_its_answer_fits_the_schema(client: httpx.Client, document: Any, route: Route) -> None:
    operation = document["paths"][route.template][route.method.lower()]
    path = route.template
    for parameter in operation.get("parameters", []):
        if parameter["in"] == "path":
            path = path.replace(f"{{{parameter['name']}}}", parameter["example"])
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    # What warms the cache was made by a model of the very fingerprint that serves: no example can know it.
    assert ("example" in content) == (route.request is not None and route.path != "/cache/warm")
    # The others need a classifier, a sparse encoder, an encoder of tokens.
    if route.path in ("/cache/warm", "/predict", "/classify", "/embed_sparse", "/embed_all"):
        return
    body = {"json": content["example"]} if "example" in content else {}
    answer = client.request(route.method, path, **body)
    assert answer.status_code == 200, answer.text
    fits(answer.json(), operation["responses"]["200"]["content"]["application/json"]["schema"], document)


@pytest.mark.parametrize(
    "route", [r for r in JSON_ROUTES if r.request and r.path != "/cache/clear"], ids=lambda r: r.path
)
def test_a_bad_request_is_refused_in_the_form_that_the_document_states(
    client: httpx.Client, document: Any, route: Route
) -> None:
    answer = client.request(route.method, route.path, json={"nothing": "of it"})
    operation = document["paths"][route.template][route.method.lower()]
    [status] = statuses_of(InvalidRequest, route.errors_as)
    assert answer.status_code == status
    fits(answer.json(), operation["responses"][str(status)]["content"]["application/json"]["schema"], document)


def fits(value: Any, schema: Any, document: Any) -> None:
    whole = {"$schema": "https://json-schema.org/draft/2020-12/schema", "components": document["components"]} | schema
    jsonschema.Draft202012Validator(whole).validate(value)
