from typing import Any

import pytest

from app.api.openapi import document
from app.api.routes import ROUTES
from app.api.wire.json_response import statuses_of
from app.config.args import Limits
from app.errors import PayloadTooLarge
from tests.support.calling import Service
from tests.support.service_fakes import FakeEncoder


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
        errors = (*route.errors, *route.refusals)
        told = {status for error in errors for form in route.error_formats for status in statuses_of(error, form)}
        assert statuses == {
            "200",
            "500",
            *map(str, route.statuses),
            *map(str, told),
            *(["304"] if route.is_file else []),
        }
        assert ("requestBody" in operation) == (route.request is not None)
        for error in errors:
            for status in statuses_of(error, route.errors_as):
                assert error.code in operation["responses"][str(status)]["description"]
    ids = [operation["operationId"] for path in doc["paths"].values() for operation in path.values()]
    assert len(ids) == len(set(ids))


def test_every_field_is_described(doc: Any) -> None:
    schemas = doc["components"]["schemas"]
    assert len(schemas) > 15
    bare = [
        f"{node.get('title')}.{field}"
        for node in nodes(doc)
        for field, about in (node.get("properties") or {}).items()
        if not about.get("description")
    ]
    assert bare == []


def test_every_reference_leads_somewhere(doc: Any) -> None:
    refs = [node["$ref"] for node in nodes(doc) if "$ref" in node]
    assert refs
    for ref in refs:
        assert ref.removeprefix("#/components/schemas/") in doc["components"]["schemas"]


def test_statuses_are_those_that_each_api_really_answers_with(doc: Any) -> None:
    assert {"400", "413", "422"} < set(doc["paths"]["/embed"]["post"]["responses"])
    assert "422" not in doc["paths"]["/v1/embeddings"]["post"]["responses"]
    too_large = doc["paths"]["/v1/embeddings"]["post"]["responses"]["400"]["description"]
    assert "payload_too_large" in too_large


def test_items_and_numbers_are_as_narrow_as_what_is_taken(doc: Any) -> None:
    schemas = doc["components"]["schemas"]
    kinds = [
        ref["$ref"].rsplit("/", 1)[1] for ref in schemas["SearchRequest"]["properties"]["candidates"]["items"]["anyOf"]
    ]
    assert [(schemas[kind]["required"], schemas[kind]["additionalProperties"]) for kind in kinds] == [
        (["text"], False),
        (["image"], False),
        (["vector"], False),
    ]
    number = schemas["SimilarityRequest"]["properties"]["query"]["items"]
    assert number == {"type": "number", "minimum": -3.4028234663852886e38, "maximum": 3.4028234663852886e38}
    assert schemas["SimilarityRequest"]["properties"]["topK"]["anyOf"][0] == {"type": "integer", "minimum": 1}
    assert schemas["BatchRequest"]["properties"]["batchSize"]["maximum"] == 2048


@pytest.mark.parametrize("keys", [False, True])
def test_no_answer_is_one_of_two_objects_that_nothing_tells_apart(keys: bool) -> None:
    doc = document(ROUTES, Limits(), "", keys=keys)
    schemas = [
        content["schema"]
        for path in doc["paths"].values()
        for operation in path.values()
        for code, answer in operation["responses"].items()
        if code.startswith("2")  # an error's form is told by its `error`
        for content in answer.get("content", {}).values()
    ]
    assert [schema for schema in schemas if "anyOf" in schema or "oneOf" in schema] == []
    health = doc["components"]["schemas"]["HealthResponse"]
    assert set(health["required"]) == ({"status"} if keys else set(health["properties"]))


def test_limits_are_the_running_services() -> None:
    doc = Service(texts=7, text_bytes=1234).get("/openapi.json").json()
    texts = doc["components"]["schemas"]["TextRequest"]["properties"]["texts"]
    assert texts["description"] == "1 to 7 texts."
    assert "at most 1,234 UTF-8 bytes" in texts["items"]["description"]
    doc = Service(images=3).get("/openapi.json").json()
    upload = doc["paths"]["/embed/image"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    for schema in (doc["components"]["schemas"]["ImageRequest"], upload):
        assert (schema["properties"]["images"]["minItems"], schema["properties"]["images"]["maxItems"]) == (1, 3)
    assert not any(
        "<" in node.get("description", "") for node in nodes(doc) if isinstance(node.get("description"), str)
    )


SMALL: dict[str, Any] = {
    "text_body": 210,
    "image_body": 220,
    "vector_body": 230,
    "tokenize_body": 240,
    "clear_body": 250,
    "chunk_body": 260,
}


@pytest.mark.parametrize("route", [r for r in ROUTES if r.request], ids=lambda r: f"{r.method} {r.path}")
def test_a_body_may_have_as_many_bytes_as_the_document_says(route: Any) -> None:
    service = Service(FakeEncoder("sentence-transformers/all-MiniLM-L6-v2"), **SMALL)
    told = service.get("/openapi.json").json()["paths"][route.template]["post"]["requestBody"]["description"]
    assert told == f"At most {SMALL[route.body_limit]} bytes."
    for size, refused in ((SMALL[route.body_limit], False), (SMALL[route.body_limit] + 1, True)):
        answer = service.post(route.path, content=b"{}".ljust(size), headers={"content-type": "application/json"})
        assert ("The body is larger than" in answer.text) == refused, answer.text
        if refused:
            assert answer.status_code in statuses_of(PayloadTooLarge, route.errors_as)


def test_every_limit_is_in_the_document() -> None:
    """With a number of its own each, so that none stands there for another."""
    own: dict[str, Any] = {name: 7_000_001 + 1_111 * i for i, name in enumerate(Limits.model_fields)}
    text = Service(**own).get("/openapi.json").text
    assert [name for name, number in own.items() if f"{number:,}" not in text] == []


def test_what_is_refused_of_json_is_said(doc: Any) -> None:
    about = doc["info"]["description"]
    for word in (
        "surrogates",
        "NaN",
        "Infinity",
        "levels deep",
        "the last one counts",
        "uncompressed",
        "Range",
        "30.0 s",
    ):
        assert word in about


def test_the_upload_is_described(doc: Any) -> None:
    content = doc["paths"]["/embed/image"]["post"]["requestBody"]["content"]
    assert set(content) == {"application/json", "multipart/form-data"}
    assert content["multipart/form-data"]["schema"]["properties"]["images"]["items"]["format"] == "binary"


def test_matrices_are_described(doc: Any) -> None:
    binary = {"application/octet-stream", "application/x-npy"}
    for path in ("/embed/text", "/embed/image"):
        answer = doc["paths"][path]["post"]["responses"]["200"]
        assert set(answer["content"]) == {"application/json"} | binary
        assert {"x-embedding-shape", "x-embedding-dtype", "x-embedding-note", "x-request-id"} <= set(answer["headers"])
        assert all(header["description"] for header in answer["headers"].values())
    similarity = doc["paths"]["/similarity"]["post"]
    assert set(similarity["requestBody"]["content"]) == {"application/json"} | binary
    assert "at most 4,000,000 numbers" in str(similarity["requestBody"]["content"])
    named = {parameter["name"]: parameter for parameter in similarity["parameters"]}
    assert set(named) == {"topK", "threshold", "metric", "space", "x-embedding-shape"}
    assert named["x-embedding-shape"]["in"] == "header"
    assert all(parameter["description"] for parameter in similarity["parameters"])


# They need a model's own vectors, or a model that reads images or classifies.
NEED_MORE = {"/embed/image", "/cache/warm", "/predict", "/classify", "/vectorize"}


@pytest.mark.parametrize(
    "route", [r for r in ROUTES if r.path not in NEED_MORE and not r.parameters], ids=lambda r: r.path
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
