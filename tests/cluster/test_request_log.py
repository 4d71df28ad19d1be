"""A failed request's line is in Serve's own log of the ingress replica, and nothing of its content."""

import re
import uuid
from pathlib import Path

from loadtests.running import RunningService, wait_for
from tests.support import web


def log_folder(service: RunningService) -> Path:
    """Ray names its session's folder to its processes."""
    found = (re.search(r"(/\S*?/session_\d[^/\s,=]*)/", " ".join(p.cmdline())) for p in service.named("raylet"))
    return next(Path(match[1]) for match in found if match) / "logs" / "serve"


def lines_with(service: RunningService, text: str) -> list[str]:
    files = log_folder(service).glob("replica_*Ingress*.log")
    return [line for file in files for line in file.read_text().splitlines() if text in line]


def test_a_failed_request_is_found_by_its_id(service: RunningService) -> None:
    id_, content = uuid.uuid4().hex, uuid.uuid4().hex
    sent = {"texts": [content], "model": "no-such-model"}
    answer = web.post(f"{service.url}/embed/text", json=sent, headers={"x-request-id": id_}, timeout=300)
    assert answer.status_code == 404
    wanted = re.compile(r"POST /embed/text 404 [0-9.]+ms model_not_found$")
    # Whole: it may be read while it is written.
    wait_for(lambda: any(map(wanted.search, lines_with(service, id_))), what="the line in the log")
    [line] = lines_with(service, id_)
    assert " INFO " in f" {line} " or line.startswith("INFO")
    assert lines_with(service, content) == []
