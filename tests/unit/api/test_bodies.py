from collections.abc import AsyncIterator
from typing import Any

import pytest

from app.api.middleware import request
from app.api.wire.json_response import error_response
from tests.support.calling import Service, error_of

JSON = {"content-type": "application/json"}


class Body:
    """Spaces, ten at a time; `taken` says how many tens were asked for."""

    def __init__(self) -> None:
        self.taken = 0

    async def chunks(self) -> AsyncIterator[bytes]:
        for _ in range(1000):
            self.taken += 1
            yield b" " * 10


def answered_after(service: Service, body: Body, headers: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> int:
    """How many tens were taken before the answer, 413, was written; the rest is drained behind it."""
    taken: list[int] = []

    def written(*args: Any) -> Any:
        taken.append(body.taken)
        return error_response(*args)

    monkeypatch.setattr(request, "error_response", written)
    answer = service.post("/embed/text", content=body.chunks(), headers=headers)
    assert answer.status_code == 413
    assert error_of(answer)["message"] == "The body is larger than 100 bytes, the limit of this route."
    return taken[0]


def test_a_body_without_a_declared_length_is_counted_as_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert answered_after(Service(text_body=100), Body(), JSON, monkeypatch) == 11


def test_a_body_declared_as_too_long_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    assert answered_after(Service(text_body=100), Body(), JSON | {"content-length": "101"}, monkeypatch) == 0


def test_a_body_of_just_the_limit_is_read() -> None:
    content = b'{"texts": ["a"]}'.ljust(100)
    assert Service(text_body=100).post("/embed/text", content=content, headers=JSON).status_code == 200


def test_an_empty_body_is_told_so() -> None:
    error = error_of(Service().post("/embed/text", headers=JSON))
    assert error["message"] == "The body is empty; send a JSON object."


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "Application/JSON", "application/x+json"])
def test_content_types_that_are_json(content_type: str) -> None:
    answer = Service().post("/embed/text", content=b'{"texts": ["a"]}', headers={"content-type": content_type})
    assert answer.status_code == 200


def test_without_a_content_type_it_is_json() -> None:
    assert Service().post("/embed/text", content=b'{"texts": ["a"]}').status_code == 200
