import re

import pytest

from tests.support.calling import Service
from tests.support.service_fakes import MODEL

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/embed/text", {"texts": ["abc"]}),
        ("/v1/embeddings", {"model": MODEL, "input": "abc"}),
        ("/search", {"query": {"text": "abc"}, "candidates": []}),
    ],
)
def test_the_stages_of_an_answer_are_told(path: str, body: object) -> None:
    header = Service().post(path, json=body).headers["server-timing"]
    times = dict(re.findall(r"(\w+);dur=([0-9.]+)", header))
    assert [*times] == ["decode", "cache", "tokenize", "queue", "inference", "total"]
    assert times["inference"] == "1.500"
    assert float(times["total"]) > 0


def test_other_answers_tell_their_total() -> None:
    for path in ("/livez", "/nothing"):
        assert re.fullmatch(r"total;dur=[0-9.]+", Service().get(path).headers["server-timing"])


def test_a_valid_traceparent_comes_back() -> None:
    assert Service().get("/livez", headers={"traceparent": TRACE}).headers["traceparent"] == TRACE
    for wrong in (TRACE.upper(), TRACE[:-1], TRACE.replace("4bf92f3577b34da6a3ce929d0e0e4736", "0" * 32), "x"):
        assert "traceparent" not in Service().get("/livez", headers={"traceparent": wrong}).headers
