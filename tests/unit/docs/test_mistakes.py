"""Every mistake of `docs/mistakes.py` is made; the product answers what stands beside it."""

import json
import os
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from app import __main__ as command
from app.client import EmbeddingClient, Retry
from app.errors import ServiceError
from docs.mistakes import MISTAKES
from tests.support.calling import Service
from tests.support.keys import guard_of
from tests.support.service_fakes import FakeEncoder

TEXT = "sentence-transformers/all-MiniLM-L6-v2"
CONFIG = "applications:\n  - name: embeddings\n    args:\n      {}\n"


class Started(Exception):
    pass


def service_here(**options: Any) -> Service:
    return Service(FakeEncoder(TEXT), FakeEncoder("openai/clip-vit-base-patch32", ("image",)), **options)


def asked(request: str, headers: dict[str, str] | None = None) -> str:
    service = service_here(**({} if headers is None else {"authenticator": guard_of()}))
    method, path, body = [*request.split(" ", 2), ""][:3]
    answer = service.request(method, path, content=body, headers={"content-type": "application/json"} | (headers or {}))
    error = answer.json()["error"]
    return str(error["message"] if isinstance(error, dict) else error)


def called(expression: str) -> str:
    """What the client raises; at port 9 nobody listens, and nobody speaks TLS."""

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.port == 9:
            raise httpx.ConnectError("[Errno 111] Connection refused")
        if request.url.scheme == "https":
            raise httpx.ConnectError("[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1006)")
        path, headers = request.url.raw_path.decode(), dict(request.headers)
        found = service_here().request(request.method, path, content=request.read(), headers=headers)
        return httpx.Response(found.status_code, headers=found.headers, content=found.content)

    client = partial(EmbeddingClient, transport=httpx.MockTransport(answer), retry=Retry(attempts=1))
    with pytest.raises((ServiceError, ValueError)) as raised:
        eval(expression, {"EmbeddingClient": client})  # noqa: S307 - our own
    return str(raised.value)


def ran(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    """What a command says before it would start anything."""
    with suppress(SystemExit, Started):
        assert command.main([*argv]) == 2
    return capsys.readouterr().err.splitlines()[-1].removeprefix("python -m app: error: ")


@pytest.mark.parametrize(
    ("kind", "mistake", "message"), [(kind, *row) for kind, rows in MISTAKES.items() for row in rows.items()]
)
def test_a_mistake_is_answered(
    kind: str, mistake: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    def notice(*_: object) -> str:
        raise Started

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command, "access_notice", notice)
    monkeypatch.setattr(os, "environ", {"PATH": os.environ["PATH"]})
    Path("serve_config.yaml").write_text(CONFIG.format(mistake if "yaml" in kind else "{}"))
    if "routes" in kind:
        said = asked(mistake)
    elif kind == "Keys":
        name, _, value = mistake.partition(": ")
        said = asked("GET /cache/stats", {name: value} if value else {})
    elif kind == "The Python client":
        said = called(mistake)
    elif kind == "The command line":
        Path("notes.txt").write_text("a\n")
        said = ran(capsys, *mistake.split())
    else:
        name, _, value = mistake.partition("=")
        if kind == "Variables":
            os.environ[name] = value
        elif kind == "`.env`":
            Path(".env").write_text(mistake + "\n")
        said = ran(capsys, "serve")
    assert said == message


def test_there_are_forty() -> None:
    assert sum(map(len, MISTAKES.values())) >= 40
    assert json.dumps(MISTAKES).count('""') == 0
