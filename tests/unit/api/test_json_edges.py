"""JSON that is barely any, on every route that takes JSON: always a 4xx that says why, never a guess.

Each test goes through its whole table and tells all that is wrong at once.
"""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from app.api.route import Route
from app.api.routes import ROUTES
from tests.support.calling import Service
from tests.support.service_fakes import FakeEncoder, FakeReranker, FakeSparseEncoder, FakeTokenEncoder

JSON = {"content-type": "application/json"}
TAKERS = [route for route in ROUTES if route.request is not None]
PATHS = [route.path for route in TAKERS]
# Vectors for the cache must be those of the model that is served, which no example can have.
WARM = {"texts": ["a"], "tokens": [1], "embeddings": "AAAAAA==", "fingerprint": "0" * 32}
EXAMPLES: dict[str, dict[str, Any]] = {r.path: WARM if r.example is None else r.example for r in TAKERS}
BOMBS = [b"[" * 100_000, b'{"a":' * 20_000 + b"1" + b"}" * 20_000]
# No integer and no float takes any of these.
NUMBERS = ["NaN", "Infinity", "-Infinity", "1e999", "-" + "9" * 400, "01", "1.", "0x1"]
TEXTS = [rb"\ud800", rb"\udfff", rb"\ud800\u0041", b"\xff", b"\xed\xa0\x80", b"\n", b"\0", rb"\x"]
NO_OBJECTS = [
    b"null",
    b"[]",
    b"1",
    b'"a"',
    b"{",
    b"{}x",
    b"\xef\xbb\xbf",
    b"\xef\xbb\xbf\xef\xbb\xbf{}",
    "{}".encode("utf-16"),
    "{}".encode("utf-32-le"),
    b"{} {}",
    b"{'a': 1}",
    b"//\n{}",
]
KINDS = ["text/plain", "application/x-www-form-urlencoded", "", "application/jsonx"]
CODINGS = ["gzip", "deflate", "br", "zstd", "identity, gzip", "x"]


@pytest.fixture(scope="module")
def service() -> Service:
    return Service(
        FakeEncoder("sentence-transformers/all-MiniLM-L6-v2"),
        FakeEncoder("makers/pictures", ("image", "text")),
        FakeReranker(),
        FakeSparseEncoder(),
        FakeTokenEncoder(),
    )


def first(path: str) -> tuple[str, Any]:
    return next(iter(EXAMPLES[path].items()), ("texts", ["a"]))


def numeric_fields(route: Route) -> Iterator[str]:
    assert route.request is not None
    for name, schema in route.request.model_json_schema(by_alias=True)["properties"].items():
        if {one.get("type") for one in (schema, *schema.get("anyOf", ()))} & {"integer", "number"}:
            yield name


class Asked:
    """Bodies sent, and those that were not refused as they must be."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.count = 0
        self.wrong: list[str] = []

    def refused(self, path: str, body: bytes, statuses: tuple[int, ...], *words: str, **headers: str) -> None:
        """With one of these statuses, in words among which are some of `words`."""
        answer: httpx.Response = self.service.post(path, content=body, headers=JSON | headers)
        self.count += 1
        if answer.status_code not in statuses or (words and not any(word in answer.text for word in words)):
            self.wrong.append(f"{path} {body[:60]!r} {headers or ''}: {answer.status_code} {answer.text[:200]}")

    def end(self, least: int) -> None:
        assert self.wrong == []
        assert self.count >= least


@pytest.fixture
def asked(service: Service) -> Asked:
    return Asked(service)


def test_the_examples_are_answered(service: Service) -> None:
    """What is refused below is refused for what was changed."""
    statuses = {route.path: service.post(route.path, json=EXAMPLES[route.path]).status_code for route in TAKERS}
    assert statuses == {route.path: 409 if route.example is None else 200 for route in TAKERS}


def test_json_of_great_depth_is_refused(asked: Asked) -> None:
    for path in PATHS:
        name = first(path)[0].encode()
        for bomb in BOMBS:
            for body in (bomb, b'{"%b": %b}' % (name, bomb), b'{"%b": [%b]}' % (name, bomb)):
                asked.refused(path, body, (400, 413, 422))
    asked.end(6 * len(PATHS))


def test_numbers_that_are_none(asked: Asked) -> None:
    for route in TAKERS:
        example = EXAMPLES[route.path]
        for number in NUMBERS:
            for field in dict.fromkeys((first(route.path)[0], *numeric_fields(route))):
                others = json.dumps({key: value for key, value in example.items() if key != field})[1:-1]
                body = f'{{"{field}": {number}{", " if others else ""}{others}}}'
                asked.refused(route.path, body.encode(), (400, 422), "not valid JSON", f"`{field}")
    asked.end((len(PATHS) + 8) * len(NUMBERS))


def test_a_threshold_is_a_number(service: Service, asked: Asked) -> None:
    for path in ("/search", "/similarity"):
        body = json.dumps({key: one for key, one in EXAMPLES[path].items() if key != "threshold"})
        assert service.post(path, content=f'{body[:-1]}, "threshold": 0.5}}', headers=JSON).status_code == 200
        for number in NUMBERS:
            asked.refused(path, f'{body[:-1]}, "threshold": {number}}}'.encode(), (400,), "JSON")
    asked.end(2 * len(NUMBERS))


def test_texts_that_are_no_unicode(asked: Asked) -> None:
    for path in PATHS:
        name, value = first(path)
        for text in TEXTS:
            inner = b'["' + text + b'"]' if isinstance(value, list) else b'"' + text + b'"'
            words = () if path == "/cache/clear" else ("JSON",)
            asked.refused(path, b'{"%b": %b}' % (name.encode(), inner), (400, 422), *words)
    asked.end(len(PATHS) * len(TEXTS))


def test_of_two_fields_of_one_name_the_last_counts(service: Service, asked: Asked) -> None:
    for path in PATHS:
        if path.startswith("/cache/"):
            continue
        name, value = first(path)
        rest = json.dumps({key: one for key, one in EXAMPLES[path].items() if key != name})[1:-1]
        rest = f", {rest}" if rest else ""
        asked.refused(path, f'{{"{name}": {json.dumps(value)}{rest}, "{name}": 5}}'.encode(), (400, 404, 422), name)
        fine = service.post(path, content=f'{{"{name}": 5{rest}, "{name}": {json.dumps(value)}}}', headers=JSON)
        assert (path, fine.status_code) == (path, 200), fine.text
    asked.end(len(PATHS) - 2)


def test_json_bodies_must_be_objects(asked: Asked) -> None:
    for path in PATHS:
        for body in NO_OBJECTS:
            asked.refused(path, body, (400, 422))
    asked.end(len(PATHS) * len(NO_OBJECTS))


def test_other_content_types_and_codings(asked: Asked) -> None:
    for path in PATHS:
        body = json.dumps(EXAMPLES[path]).encode()
        for kind in KINDS:
            asked.refused(path, body, (415,), **{"content-type": kind})
        for coding in CODINGS:
            asked.refused(path, body, (415,), "uncompressed", **{"content-encoding": coding})
    asked.end(len(PATHS) * (len(KINDS) + len(CODINGS)))


def test_compressed_uploads(service: Service) -> None:
    headers = {"content-type": "multipart/form-data; boundary=b", "content-encoding": "gzip"}
    assert service.post("/embed/image", content=b"--b--", headers=headers).status_code == 415


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/embed/text", {"texts": ["a", ""]}, "texts.1"),
        ("/v1/embeddings", {"model": "all-MiniLM-L6-v2", "input": ["a", ""]}, "input.1"),
        ("/v1/embeddings", {"model": "all-MiniLM-L6-v2", "input": ""}, "input"),
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
