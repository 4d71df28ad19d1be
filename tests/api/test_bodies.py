from collections.abc import AsyncIterator

import pytest

from tests.api.calling import Service, error_of

JSON = {"content-type": "application/json"}


class Body:
    """Spaces, ten at a time; `taken` says how many tens were asked for."""

    def __init__(self) -> None:
        self.taken = 0

    async def chunks(self) -> AsyncIterator[bytes]:
        for _ in range(1000):
            self.taken += 1
            yield b" " * 10


def test_a_body_without_a_declared_length_is_counted_as_it_comes() -> None:
    body = Body()
    answer = Service(text_body=100).post("/embed/text", content=body.chunks(), headers=JSON)
    assert (answer.status_code, body.taken) == (413, 11)
    assert error_of(answer)["message"] == "The body is larger than 100 bytes, the most this route takes."


def test_a_body_declared_as_too_long_is_not_read() -> None:
    body = Body()
    headers = JSON | {"content-length": "101"}
    answer = Service(text_body=100).post("/embed/text", content=body.chunks(), headers=headers)
    assert (answer.status_code, body.taken) == (413, 0)


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
