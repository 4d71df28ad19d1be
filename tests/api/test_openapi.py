from typing import Any

import pytest

from app.api.routes import ROUTES
from tests.api.calling import Service
from tests.service_fakes import FakeEncoder


@pytest.fixture(scope="module")
def doc() -> Any:
    answer = Service().get("/openapi.json")
    assert answer.status_code == 200
    return answer.json()


def nodes(node: Any) -> Any:
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from nodes(value)
    elif isinstance(node, list):
        for value in node:
            yield from nodes(value)


def test_every_route_is_there_with_its_errors(doc: Any) -> None:
    assert doc["openapi"] == "3.1.0"
    for route in ROUTES:
        operation = doc["paths"][route.template][route.method.lower()]
        statuses = set(operation["responses"])
        assert statuses == {"200", "500", *map(str, route.statuses), *(str(e.status) for e in route.errors)}
        assert ("requestBody" in operation) == (route.request is not None)
        for error in route.errors:
            assert error.code in operation["responses"][str(error.status)]["description"]
    ids = [operation["operationId"] for path in doc["paths"].values() for operation in path.values()]
    assert len(ids) == len(set(ids))


def test_every_field_is_described(doc: Any) -> None:
    schemas = doc["components"]["schemas"]
    assert len(schemas) > 15
    bare = [
        f"{name}.{field}"
        for name, schema in schemas.items()
        for field, about in schema.get("properties", {}).items()
        if not about.get("description")
    ]
    assert bare == []


def test_every_reference_leads_somewhere(doc: Any) -> None:
    refs = [node["$ref"] for node in nodes(doc) if "$ref" in node]
    assert refs
    for ref in refs:
        assert ref.removeprefix("#/components/schemas/") in doc["components"]["schemas"]


def test_limits_are_the_running_services() -> None:
    doc = Service(texts=7, text_bytes=1234).get("/openapi.json").json()
    texts = doc["components"]["schemas"]["TextRequest"]["properties"]["texts"]
    assert texts["description"] == "1 to 7 texts."
    assert "at most 1,234 UTF-8 bytes" in texts["items"]["description"]
    assert not any(
        "<" in node.get("description", "") for node in nodes(doc) if isinstance(node.get("description"), str)
    )


def test_the_upload_is_described(doc: Any) -> None:
    content = doc["paths"]["/embed/image"]["post"]["requestBody"]["content"]
    assert set(content) == {"application/json", "multipart/form-data"}
    assert content["multipart/form-data"]["schema"]["properties"]["images"]["items"]["format"] == "binary"


NEED_IMAGES = {"/embed/image"}


@pytest.mark.parametrize(
    "route", [r for r in ROUTES if r.path not in NEED_IMAGES and not r.parameters], ids=lambda r: r.path
)
def test_examples_run(route: Any) -> None:
    service = Service(FakeEncoder("sentence-transformers/all-MiniLM-L6-v2"))
    body: dict[str, Any] = {} if route.example is None else {"json": route.example}
    answer = service.request(route.method, route.path, **body)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith(route.media)


def test_the_page_needs_nothing_from_elsewhere() -> None:
    page = Service().get("/docs")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "openapi.json" in page.text
    assert "http:" not in page.text
    assert "https:" not in page.text
