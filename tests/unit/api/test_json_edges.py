"""JSON that is barely any, on every route that takes JSON: always a 4xx that says so, never a guess."""

import json
from typing import Any

import pytest

from app.api.routes import ROUTES
from tests.support.calling import Service

JSON = {"content-type": "application/json"}
TAKERS = [route for route in ROUTES if route.request is not None]
PATHS = [route.path for route in TAKERS]
NUMBERS = ["NaN", "Infinity", "-Infinity", "1e999", "1" * 3000, "-" + "9" * 400, "01", "1.", "0x1"]
TEXTS = [rb"\ud800", rb"\udfff", rb"\ud800\u0041", b"\xff", b"\xed\xa0\x80", b"\n", b"\0", rb"\x"]
NO_OBJECTS = [b"null", b"[]", b"1", b'"a"', b"{", b"{}x", b"\xef\xbb\xbf{}", b"{} {}", b"{'a': 1}", b"//\n{}"]
EXAMPLES: dict[str, dict[str, Any]] = {route.path: route.example or {"texts": ["a"]} for route in TAKERS}


@pytest.fixture(scope="module")
def service() -> Service:
    return Service()


def first(path: str) -> tuple[str, Any]:
    return next(iter(EXAMPLES[path].items()), ("texts", ["a"]))


def refused(service: Service, path: str, body: bytes, status: int | None = None, **headers: str) -> str:
    answer = service.post(path, content=body, headers=JSON | headers)
    assert answer.status_code in ((400, 413, 422) if status is None else (status,)), answer.text
    return answer.text


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("bomb", [b"[" * 100_000, b'{"a":' * 20_000 + b"1" + b"}" * 20_000])
def test_json_nesting_depth(service: Service, path: str, bomb: bytes) -> None:
    name, _ = first(path)
    refused(service, path, bomb)
    for within in (b'{"%b": %b}' % (name.encode(), bomb), b'{"%b": [%b]}' % (name.encode(), bomb)):
        refused(service, path, within)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "number", ["NaN", "Infinity", "-Infinity", "1e999", "1" * 3000, "-" + "9" * 400, "01", "1.", "0x1"]
)
def test_json_nan_and_infinity_are_rejected(service: Service, path: str, number: str) -> None:
    name, value = first(path)
    refused(service, path, f'{{"{name}": {number}}}'.encode())
    whole = {key: one for key, one in EXAMPLES[path].items() if key != name} | {name: value}
    body = json.dumps(whole)[:-1] + f', "topK": {number}, "threshold": {number}, "dimensions": {number}}}'
    refused(service, path, body.encode())


@pytest.mark.parametrize("path", ["/search", "/similarity"])
@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_threshold_is_a_number(service: Service, path: str, number: str) -> None:
    body = json.dumps({key: one for key, one in EXAMPLES[path].items() if key != "threshold"})
    assert service.post(path, content=f'{body[:-1]}, "threshold": 0.5}}', headers=JSON).status_code == 200
    refused(service, path, f'{body[:-1]}, "threshold": {number}}}'.encode(), 400)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "text", [rb"\ud800", rb"\udfff", rb"\ud800\u0041", b"\xff", b"\xed\xa0\x80", b"\n", b"\0", rb"\x"]
)
def test_texts_that_are_no_unicode(service: Service, path: str, text: bytes) -> None:
    name, value = first(path)
    inner = b'["' + text + b'"]' if isinstance(value, list) else b'"' + text + b'"'
    assert "JSON" in refused(service, path, b'{"%b": %b}' % (name.encode(), inner)) or path == "/cache/clear"


@pytest.mark.parametrize("path", [path for path in PATHS if not path.startswith("/cache/")])
def test_of_two_fields_of_one_name_the_last_counts(service: Service, path: str) -> None:
    name, value = first(path)
    rest = json.dumps({key: one for key, one in EXAMPLES[path].items() if key != name})[1:-1]
    rest = f", {rest}" if rest else ""
    refused(service, path, f'{{"{name}": {json.dumps(value)}{rest}, "{name}": 5}}'.encode())
    fine = service.post(path, content=f'{{"{name}": 5{rest}, "{name}": {json.dumps(value)}}}', headers=JSON)
    whole = service.post(path, json=EXAMPLES[path])
    assert fine.status_code == whole.status_code


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "body", [b"null", b"[]", b"1", b'"a"', b"{", b"{}x", b"\xef\xbb\xbf{}", b"{} {}", b"{'a': 1}", b"//\n{}"]
)
def test_json_bodies_that_are_not_objects(service: Service, path: str, body: bytes) -> None:
    refused(service, path, body)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "", "application/jsonx"])
def test_other_content_types(service: Service, path: str, kind: str) -> None:
    body = json.dumps(EXAMPLES[path]).encode()
    refused(service, path, body, 415, **{"content-type": kind})


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "identity, gzip", "x"])
def test_compressed_bodies(service: Service, path: str, coding: str) -> None:
    body = json.dumps(EXAMPLES[path]).encode()
    text = refused(service, path, body, 415, **{"content-encoding": coding})
    assert "uncompressed" in text


def test_compressed_uploads(service: Service) -> None:
    headers = {"content-type": "multipart/form-data; boundary=b", "content-encoding": "gzip"}
    assert service.post("/embed/image", content=b"--b--", headers=headers).status_code == 415


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/embed/text", {"texts": ["a", ""]}, "texts.1"),
        ("/v1/embeddings", {"model": "small-model", "input": ["a", ""]}, "input.1"),
        ("/v1/embeddings", {"model": "small-model", "input": ""}, "input"),
        ("/search", {"query": {"text": "a"}, "candidates": [{"text": "b"}, {"text": ""}]}, "candidates.1.text"),
        ("/search", {"query": {"text": ""}, "candidates": []}, "query.text"),
    ],
)
def test_empty_texts_are_refused_with_their_place(
    service: Service, path: str, body: dict[str, Any], param: str
) -> None:
    answer = service.post(path, json=body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


def test_an_empty_text_of_a_batch_fails_alone(service: Service) -> None:
    answer = service.post("/embed/batch", json={"items": [{"text": "a"}, {"text": ""}]})
    assert answer.status_code == 200
    good, bad = answer.json()["items"]
    assert "error" not in good
    assert (bad["error"]["code"], bad["error"]["param"]) == ("invalid_item", "items.1.text")
