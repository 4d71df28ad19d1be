"""What the log says of requests: their counts and times, nothing of what was in them."""

import json
import logging

import pytest

from app.config.args import LogRequests
from app.errors import Overloaded
from app.service.encoder import ModelState
from tests.support.calling import Service
from tests.support.service_fakes import MODEL, FakeEncoder

CONTENT = "the patient's name"


def logged(caplog: pytest.LogCaptureFixture, service: Service) -> list[logging.LogRecord]:
    caplog.set_level(logging.INFO, "app.telemetry.request_log")
    service.backend.log.close()
    return [record for record in caplog.records if record.name == "app.telemetry.request_log"]


def service_that_logs(mode: LogRequests) -> Service:
    service = Service()
    service.backend.log.mode = mode
    return service


def test_a_request_leaves_one_line_with_its_counts(caplog: pytest.LogCaptureFixture) -> None:
    service = service_that_logs("all")
    service.post("/embed/text", json={"texts": ["a"]})
    answer = service.post("/embed/text", json={"texts": ["a", "b c"]}, headers={"x-request-id": "mine-7"})
    record = logged(caplog, service)[1].__dict__
    assert answer.status_code == 200
    wanted = {
        "request_id": "mine-7",
        "method": "POST",
        "route": "/embed/text",
        "status": 200,
        "model": MODEL,
        "items": 2,
        "tokens": 3,
        "cache_hits": 1,
    }
    assert {name: record[name] for name in wanted} == wanted
    assert set(record["stages_ms"]) == {"decode", "cache", "tokenize", "queue", "inference"}
    assert record["stages_ms"]["inference"] == 1.5


def test_errors_are_logged_by_default_and_the_rest_is_not(caplog: pytest.LogCaptureFixture) -> None:
    service = Service()
    service.post("/embed/text", json={"texts": ["a"]})
    service.post("/embed/text", json={"texts": []})
    service.get("/nothing/at/all")
    lines = [(r.__dict__["route"], r.__dict__["status"], r.__dict__["code"]) for r in logged(caplog, service)]
    assert lines == [("/embed/text", 400, "invalid_request"), ("other", 404, "not_found")]


def test_polls_of_a_service_that_starts_are_no_failures(caplog: pytest.LogCaptureFixture) -> None:
    encoder = FakeEncoder()
    encoder.state = ModelState(MODEL, "loading")
    service = Service(encoder)
    assert [service.get(path).status_code for path in ("/health", "/readyz")] == [503, 503]
    assert service.post("/embed/text", json={"texts": ["a"]}).status_code == 503
    assert [record.__dict__["route"] for record in logged(caplog, service)] == ["/embed/text"]


def test_a_request_whose_every_item_failed_is_logged_as_it_was_answered(caplog: pytest.LogCaptureFixture) -> None:
    service = Service(encoder := FakeEncoder())
    encoder.faults["a"] = Overloaded("full")
    answer = service.post("/embed/text", json={"texts": ["a"]})
    [record] = logged(caplog, service)
    fields = record.__dict__
    assert answer.status_code == 429
    assert (fields["status"], fields["code"], fields["items"], fields["tokens"]) == (429, "overloaded", 1, 0)


def test_nothing_of_the_content_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    service = service_that_logs("all")
    headers = {"authorization": f"Bearer {CONTENT}", "x-api-key": CONTENT}
    service.post("/embed/text", json={"texts": [CONTENT]}, headers=headers)
    service.post("/embed/text", json={"texts": ["a"], "model": CONTENT}, headers=headers)
    service.post("/embed/batch", json={"items": [{"text": CONTENT}]}, headers=headers)
    service.get(f"/{CONTENT}?key={CONTENT}")
    records = logged(caplog, service)
    assert len(records) == 4
    for record in records:
        fields = {name: value for name, value in record.__dict__.items() if name != "exc_info"}
        assert CONTENT not in json.dumps(fields, default=str)
        assert CONTENT not in record.getMessage()


def test_batches_are_counted_too(caplog: pytest.LogCaptureFixture) -> None:
    service = service_that_logs("all")
    service.post("/embed/batch", json={"items": [{"text": "a"}, {"text": "b c"}, {"image": "no"}]})
    [record] = logged(caplog, service)
    assert {name: record.__dict__[name] for name in ("model", "items", "tokens", "cache_hits")} == {
        "model": MODEL,
        "items": 3,
        "tokens": 3,
        "cache_hits": 0,
    }


def test_objects_from_the_cache_are_counted_as_such(caplog: pytest.LogCaptureFixture) -> None:
    service = service_that_logs("all")
    for texts in (["a"], ["a", "b c"]):
        body = {"model": MODEL, "input": [{"text": text} for text in texts]}
        assert service.post("/v1/embeddings", json=body).status_code == 200
    hits = [(record.__dict__["items"], record.__dict__["cache_hits"]) for record in logged(caplog, service)]
    assert hits == [(1, 0), (2, 1)]
