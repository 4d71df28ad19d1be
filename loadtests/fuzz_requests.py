"""Requests that are nearly right: mutations of the examples in a service's own OpenAPI document. Pure and seeded."""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from loadtests.fuzz_values import ACCEPTS, HEADERS, METHODS, NUMBERS, STRANGE, TYPES


@dataclass(frozen=True, slots=True)
class Sent:
    """A request; `template` is the documented path that it is for, None for no path of the document. `items`: how many
    things to judge it carries."""

    method: str
    path: str
    template: str | None
    headers: tuple[str, ...]
    body: bytes
    items: int = 1

    def raw(self, host: str) -> bytes:
        lines = [f"{self.method} {self.path} HTTP/1.1", f"host: {host}", *self.headers]
        if self.body or self.method in ("POST", "PUT", "PATCH"):
            lines.append(f"content-length: {len(self.body)}")
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + self.body


def requests(document: dict[str, Any], count: int, seed: int) -> Iterator[Sent]:
    """`count` requests over all routes of an OpenAPI document; the same for the same seed."""
    chance = random.Random(seed)
    routes = [
        (path, method.upper(), operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    # Routes that take something come up more often: there is more to get wrong.
    weights = [5 if "requestBody" in operation else 1 for _, _, operation in routes]
    for _ in range(count):
        path, method, operation = chance.choices(routes, weights)[0]
        yield _request(chance, path, method, operation, _fields(document, operation))


def _fields(document: dict[str, Any], operation: dict[str, Any]) -> list[str]:
    """Of a JSON body, those that its example lacks too."""
    schema = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    schemas = document.get("components", {}).get("schemas", {})
    return [*schemas.get(schema.get("$ref", "").rpartition("/")[2], schema).get("properties", {})]


def _request(chance: random.Random, template: str, method: str, operation: dict[str, Any], fields: list[str]) -> Sent:
    path, known = template, True
    for parameter in operation.get("parameters", []):
        if parameter["in"] == "path":
            value = chance.choice(["shapes-clip", "x", "%00", "..%2f..", "%F0%9F%98%80", "a" * 200, "%", "a/b"])
            path = path.replace(f"{{{parameter['name']}}}", value)
    headers = [f"accept: {chance.choice(ACCEPTS)}"] if chance.random() < 0.15 else []
    body = b""
    content = operation.get("requestBody", {}).get("content", {})
    example = content.get("application/json", {}).get("example", {})
    if content:
        body = _body(chance, example, fields)
        kind = "application/json" if chance.random() < 0.93 else chance.choice(TYPES)
        headers.append(f"content-type: {kind}")
        if kind.startswith("multipart"):
            body = _multipart(chance)
    if chance.random() < 0.06:
        headers.append(chance.choice(HEADERS))
    if chance.random() < 0.04:
        method = chance.choice(METHODS)
    if chance.random() < 0.04:
        path, known = _other_path(chance, path), False
    elif chance.random() < 0.05:
        path += chance.choice(
            ["?", "?a=b", "?topK=-1", "?metric=x&metric=y", "?%00", "?" + "a" * 3000, "?truncate=maybe", "#f"]
        )
    return Sent(method, path, template if known else None, tuple(headers), body)


def _other_path(chance: random.Random, path: str) -> str:
    return chance.choice(
        [
            path + "/",
            "/" + path,
            path.upper(),
            path + "%00",
            "/." + path,
            path + "/../health",
            "/-/routes",
            "/-/healthz",
            "/x" * 500,
            "*",
        ]
    )


def _body(chance: random.Random, example: dict[str, Any], fields: list[str]) -> bytes:
    value = json.loads(json.dumps(example))
    for _ in range(chance.choice([0, 1, 1, 1, 2, 3])):
        value = _mutated(chance, value)
    if fields and isinstance(value, dict) and chance.random() < 0.3:
        value = value | {chance.choice(fields): chance.choice(STRANGE)}  # not in place: it may be one of STRANGE
    text = json.dumps(value)  # escapes: lone surrogates go out as \ud800
    body = text.encode()
    trick = chance.random()
    if trick < 0.05:
        body = _splice(chance, body, chance.choice(NUMBERS))
    elif trick < 0.08:
        body = _splice(
            chance,
            body,
            chance.choice([b"\\ud800", b"\xff", b"\xed\xa0\x80", b"\0", b"\\u0000", b"\xef\xbb\xbf", b"\\x"]),
        )
    elif trick < 0.11 and isinstance(value, dict) and value:
        key = chance.choice(list(value))
        body = text[:-1].encode() + f", {json.dumps(key)}: {json.dumps(chance.choice(STRANGE))}}}".encode()
    elif trick < 0.14:
        depth = chance.choice([10, 100, 500, 5000, 100_000])
        opening, closing = chance.choice([(b"[", b"]"), (b'{"a":', b"}")])
        bomb = opening * depth + b"0" + closing * chance.choice([0, depth])
        body = bomb if chance.random() < 0.5 else b'{"texts": ' + bomb + b"}"
    elif trick < 0.20 and body:
        data = bytearray(body)
        for _ in range(chance.randint(1, 5)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        body = bytes(data)
    elif trick < 0.23:
        body = body[: chance.randrange(len(body) + 1)]
    elif trick < 0.24:
        body = text.encode(chance.choice(["utf-16", "utf-32", "utf-8-sig"]))
    return body


def _splice(chance: random.Random, body: bytes, part: bytes) -> bytes:
    """Put where a value could stand, or anywhere."""
    places = [i for i, byte in enumerate(body) if byte in b":,["]
    at = chance.choice(places) + 1 if places and chance.random() < 0.8 else chance.randrange(len(body) + 1)
    return body[:at] + part + body[at + chance.choice([0, 0, 1, 2]) :]


def _mutated(chance: random.Random, value: Any) -> Any:
    if isinstance(value, dict) and value and chance.random() < 0.85:
        key = chance.choice(list(value))
        match chance.randrange(6):
            case 0:
                return {k: v for k, v in value.items() if k != key}
            case 1:
                return value | {
                    chance.choice(
                        ["x", "", "model", "normalize", "outputType", "topK", "dimensions", "user"]
                    ): chance.choice(STRANGE)
                }
            case _:
                return value | {key: _mutated(chance, value[key])}
    if isinstance(value, list) and value and chance.random() < 0.7:
        at = chance.randrange(len(value))
        match chance.randrange(5):
            case 0:
                return value[:at] + value[at + 1 :]
            case 1:
                return (value * chance.choice([2, 3, 40, 700]))[:3000]
            case 2:
                return [*value, chance.choice(STRANGE)]
            case _:
                return [*value[:at], _mutated(chance, value[at]), *value[at + 1 :]]
    return chance.choice(STRANGE)


def _multipart(chance: random.Random) -> bytes:
    parts = [
        b'--b\r\ncontent-disposition: form-data; name="images"; filename="a.png"\r\n\r\n\x89PNG\r\n',
        b'--b\r\ncontent-disposition: form-data; name="images"\r\n\r\nAAAA\r\n',
        b'--b\r\ncontent-disposition: form-data; name="model"\r\n\r\nx\r\n',
        b"--b\r\n\r\n\r\n",
        b'--b\r\ncontent-disposition: form-data; name="\xff"\r\n\r\n\r\n',
        b"--b--\r\n",
        b"--c\r\n",
        b"\0",
        b"--b\r\ncontent-disposition: form-data; name=\"images\"; filename*=utf-8''%ff\r\n\r\nx\r\n",
        b"--b\r\nx" * 100,
    ]
    return b"".join(chance.choice(parts) for _ in range(chance.randint(0, 6)))
