"""Requests that hypothesis makes up: any JSON within a route's example, any bytes, any header. Seeded.

`fuzz_requests` knows what readers of JSON and HTTP stumble over; hypothesis knows what floats, integers and Unicode
have at their edges, and puts together what nobody thought of.
"""

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st

from loadtests.fuzz_requests import Sent
from loadtests.fuzz_values import ACCEPTS, HEADERS, METHODS, TYPES

# Made in one go; the clients wait meanwhile.
PART = 200

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
)
# What a line of a head can hold; the rest is `fuzz_wire`'s.
TEXT = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=40)
NAMES = sorted({header.partition(":")[0] for header in HEADERS} | {"accept", "content-type", "x-session-id", "te"})


def requests(document: dict[str, Any], count: int, seed: int) -> Iterator[Sent]:
    """`count` requests over all routes of an OpenAPI document; the same for the same seed."""
    strategy = st.one_of(
        *(
            _request(path, method.upper(), operation)
            for path, methods in document["paths"].items()
            for method, operation in methods.items()
        )
    )
    for start in range(0, count, PART):
        yield from _made(strategy, min(PART, count - start), seed + start)


def _made(strategy: st.SearchStrategy[Sent], count: int, seed: int) -> list[Sent]:
    """What a test of `count` examples is given."""
    made: list[Sent] = []

    @seeded(seed)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def take(sent: Sent) -> None:
        made.append(sent)

    take()
    return made


def _request(template: str, method: str, operation: dict[str, Any]) -> st.SearchStrategy[Sent]:
    content = operation.get("requestBody", {}).get("content", {})
    example = content.get("application/json", {}).get("example", {})
    kinds = st.sampled_from(["application/json"] * 9 + TYPES)
    header = st.builds("{}: {}".format, st.sampled_from(NAMES), TEXT) | st.sampled_from(HEADERS)
    return st.builds(
        partial(_sent, template),
        method=st.sampled_from([method] * 19 + METHODS),
        values=st.lists(TEXT.filter(lambda text: text not in ("", ".", "..")), min_size=2, max_size=2),
        query=st.just("") | st.just("") | TEXT,
        headers=st.lists(header, max_size=2),
        kind=kinds if content else st.none(),
        accept=st.none() | st.sampled_from(ACCEPTS),
        body=_bodies(example) if content else st.just(b""),
    )


def _bodies(example: dict[str, Any]) -> st.SearchStrategy[bytes]:
    """JSON with something else in place of a field, of an element of it, or of the whole; and any bytes."""
    names = st.sampled_from([*example, "model", "topK", "outputType", "x"])
    field = st.builds(lambda name, value: example | {name: value}, names, JSON)
    lists = [name for name, value in example.items() if isinstance(value, list)]
    element = (
        st.builds(lambda name, value: example | {name: [*example[name], value]}, st.sampled_from(lists), JSON)
        if lists
        else field
    )
    # ASCII: lone surrogates go out as escapes; NaN and Infinity as these words.
    return st.builds(lambda value: json.dumps(value).encode(), field | element | JSON) | st.binary(max_size=60)


def _sent(
    template: str,
    *,
    method: str,
    values: list[str],
    query: str,
    headers: list[str],
    kind: str | None,
    accept: str | None,
    body: bytes,
) -> Sent:
    path = template
    for value in values:
        start, brace, rest = path.partition("{")
        if brace:
            path = start + _quoted(value) + rest.partition("}")[2]
    named = {line.partition(":")[0] for line in headers}
    if kind is not None and "content-type" not in named:
        headers = [*headers, f"content-type: {kind}"]
    if accept is not None and "accept" not in named:
        headers = [*headers, f"accept: {accept}"]
    return Sent(method, path + (f"?{_quoted(query)}" if query else ""), template, tuple(headers), body)


def _quoted(text: str) -> str:
    """What must not stand in a path or query, as percent signs; the rest as it is."""
    return "".join(c if c.isascii() and c not in ' #?"<>\\^`{|}' else f"%{ord(c):02x}" for c in text)
