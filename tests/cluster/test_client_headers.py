"""Headers that Serve reads before the application does: through HAProxy and past it, no value of theirs is a 500."""

import re

import pytest

from loadtests.fuzz import direct_ports
from loadtests.running import RunningService
from tests.support import web

READ_BY_SERVE = [
    *("x-request-id", "x-session-id", "serve_multiplexed_model_id", "serve-multiplexed-model-id"),
    *("x-request-timeout-seconds", "x-request-disconnect-disabled", "x-serve-router-target", "traceparent"),
]
VALUES = [b"\xff\xfe", b"\x80", b"<script>alert(1)</script>", b"a" * 5000, b""]


@pytest.fixture(scope="module")
def urls(service: RunningService) -> list[str]:
    direct = direct_ports(service)
    assert len(direct) == 2
    return [service.url, f"http://127.0.0.1:{direct[0]}"]


@pytest.mark.parametrize("name", READ_BY_SERVE)
def test_no_byte_of_a_header_is_our_fault(urls: list[str], name: str) -> None:
    for url in urls:
        for value in VALUES:
            headers = {name.encode(): value}
            answer = web.post(f"{url}/embed/text", json={"texts": ["a"]}, headers=headers, timeout=300)
            assert answer.status_code == 200, (url, value[:30], answer.text)


def test_one_decent_id_is_on_the_answer_and_in_its_error(urls: list[str]) -> None:
    for url in urls:
        for given, wanted in ((b"mine-7", "mine-7"), (b"<b>", None), (b"\xff", None), (b"a" * 129, None)):
            answer = web.get(f"{url}/nowhere", headers={b"x-request-id": given})
            [id_] = answer.headers.get_list("x-request-id")
            assert answer.json()["error"]["requestId"] == id_
            assert id_ == wanted if wanted else re.fullmatch("[0-9a-f-]{32,36}", id_)


def test_a_part_of_the_page_is_the_whole(urls: list[str]) -> None:
    for url in urls:
        answers = [web.get(f"{url}/docs", headers=headers) for headers in ({}, {"range": "bytes=0-5"})]
        assert [answer.status_code for answer in answers] == [200, 200]
        assert answers[0].content == answers[1].content
