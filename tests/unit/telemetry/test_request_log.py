"""Which requests are logged, and what a line says."""

import asyncio
import logging
from typing import Any

import pytest

from app.config.args import LogRequests
from app.telemetry.request_log import MAX_LINES, LogRecord, RequestLog
from loadtests.running import wait_for


def line_of(status: int = 200, **changes: Any) -> LogRecord:
    known: dict[str, Any] = {
        "ended": 1.5,
        "request_id": "r7",
        "method": "POST",
        "route": "/embed/text",
        "total_ms": 2.3456,
    }
    return LogRecord(status=status, **(known | changes))


@pytest.fixture(autouse=True)
def everything(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "app.telemetry.request_log")


@pytest.mark.parametrize(
    ("mode", "wanted"), [("off", []), ("errors", [400, 499, 503]), ("all", [200, 304, 400, 499, 503])]
)
def test_the_setting_says_which(mode: LogRequests, wanted: list[int]) -> None:
    log = RequestLog(mode)
    assert [status for status in (200, 304, 400, 499, 503) if log.wants(status)] == wanted


def test_a_line_has_its_fields(caplog: pytest.LogCaptureFixture) -> None:
    log = RequestLog("all")
    counts = {"model": "m", "items": 2, "tokens": 9, "cache_hits": 1}
    log.add(line_of(counts=counts, stages_ms={"cache": 0.12345}))
    log.add(line_of(503, code="model_unavailable"))
    log.close()
    good, bad = caplog.records
    assert good.getMessage() == "POST /embed/text 200 2.3ms model=m items=2 tokens=9 cache_hits=1"
    fields = {name: good.__dict__[name] for name in ("time", "request_id", "method", "route", "status", "total_ms")}
    assert fields == {
        "time": "1970-01-01T00:00:01.500+00:00",
        "request_id": "r7",
        "method": "POST",
        "route": "/embed/text",
        "status": 200,
        "total_ms": 2.346,
    }
    assert {name: good.__dict__[name] for name in counts} == counts
    assert good.__dict__["stages_ms"] == {"cache": 0.123}
    assert (good.levelname, bad.levelname) == ("INFO", "WARNING")
    assert (bad.__dict__["code"], "model" in bad.__dict__) == ("model_unavailable", False)


async def test_lines_are_written_in_the_background_once(caplog: pytest.LogCaptureFixture) -> None:
    log = RequestLog("all")
    task = asyncio.create_task(log.run())
    log.add(line_of())
    assert caplog.records == []
    await asyncio.to_thread(wait_for, lambda: caplog.records)
    task.cancel()
    log.close()
    assert len(caplog.records) == 1


def test_request_log_drops_and_counts_excess_lines(caplog: pytest.LogCaptureFixture) -> None:
    log = RequestLog("all")
    for _ in range(MAX_LINES + 3):
        log.add(line_of())
    log.close()
    assert len(caplog.records) == MAX_LINES + 1
    assert caplog.records[-1].getMessage() == "3 requests were not logged because there were too many"
