"""API keys on a real service that other machines could reach: through HAProxy, and past it to a replica's own port."""

import json
import re
import socket
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.api.route import Route
from app.api.routes import ROUTES
from app.auth import api_keys
from loadtests.pictures import b64, file_of, fresh_seed, picture
from loadtests.running import ROOT, RunningService, listening, wait_for
from tests.support import outside, web
from tests.support.keys import SERVE_ROUTES
from tests.support.locked import SCOPES, Locked, bearer

SECURITY = Path(__file__).parents[3] / "SECURITY.md"
# No classifier, sparse encoder or encoder of tokens is served here.
NO_MODEL = {"/predict", "/classify", "/embed_sparse", "/embed_all"}
TEXT = {"texts": ["a key opens a door"]}


def call(url: str, route: Route, headers: dict[str, str]) -> httpx.Response:
    path = route.path.replace("{model:path}", "all-MiniLM-L6-v2").replace("{file:path}", "icon.svg")
    body: dict[str, Any] = {} if route.example is None else {"json": route.example}
    return web.request(route.method, url + path, headers=headers, timeout=300, **body)


@pytest.mark.parametrize("route", ROUTES, ids=lambda r: f"{r.method} {r.path}")
def test_no_route_answers_without_the_right_key(locked: Locked, route: Route) -> None:
    for url in locked.urls():
        if route.scope == "open":
            assert call(url, route, {}).status_code == 200
            continue
        wrong = [({}, 401), (bearer(api_keys.make("x", ["embed"])[0]), 401), (bearer(locked.keys["late"]), 401)]
        wrong += [(bearer(locked.keys[scope]), 403) for scope in SCOPES if scope != route.scope]
        assert [call(url, route, headers).status_code for headers, _ in wrong] == [status for _, status in wrong]
        inside = 400 if route.request and route.example is None else 200
        inside = 404 if route.path in NO_MODEL else inside
        assert call(url, route, bearer(locked.keys[route.scope])).status_code == inside


def test_what_serve_answers_itself_is_as_declared(locked: Locked) -> None:
    for url in locked.urls():
        for path, scope in SERVE_ROUTES.items():
            answer = web.get(url + path)
            assert (scope, answer.status_code) == ("open", 200)
            assert answer.text in ("success", json.dumps({"/": "embedding-service"}, separators=(",", ":")))
    assert web.get(locked.urls()[0] + "/-/other").status_code == 404


def test_anonymous_health_is_short(locked: Locked) -> None:
    url = locked.service.url
    assert web.get(f"{url}/health").json() == {"status": "degraded"}  # shapes-clip stands in
    assert web.get(f"{url}/health", headers=bearer(locked.keys["read"])).json()["details"]


def test_hits_are_a_tenants_own(locked: Locked) -> None:
    def cached(path: str, body: Any, name: str) -> bool:
        answer = web.post(locked.service.url + path, json=body, headers=locked.bearer(name), timeout=3000)
        return bool(answer.json()["cached"])

    image = b64(file_of(picture(fresh_seed())))
    for path, body in (("/embed/text", TEXT), ("/embed/image", {"images": [image]})):
        for name in ("all", "other"):
            assert not cached(path, body, name), (path, name)
            # It is stored behind the answer.
            wait_for(lambda: cached(path, body, name), what=f"a hit of {name} at {path}")  # noqa: B023 - called at once


def test_a_quota_ends_in_429_with_a_time_to_wait(locked: Locked) -> None:
    url, headers = f"{locked.service.url}/cache/stats", bearer(locked.keys["few"])
    answers = [web.get(url, headers=headers) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert [answer.headers["x-ratelimit-remaining-requests"] for answer in answers] == ["1", "0", "0"]
    assert 1 <= int(answers[2].headers["retry-after"]) <= 60


def test_keys_change_without_a_restart(locked: Locked) -> None:
    url, before = f"{locked.service.url}/cache/stats", locked.file.read_text()
    secret, key = api_keys.make("newcomer", ["read"])
    assert web.get(url, headers=bearer(secret)).status_code == 401
    pids = sorted(process.pid for process in locked.service.named("ServeReplica"))
    locked.file.write_text(f"{before}\n{key.line}")
    wait_for(lambda: web.get(url, headers=bearer(secret)).status_code == 200, what="the new key")
    locked.file.write_text(before)
    wait_for(lambda: web.get(url, headers=bearer(secret)).status_code == 401, what="the end of the new key")
    assert sorted(process.pid for process in locked.service.named("ServeReplica")) == pids


def send_all_then_read(port: int, head: str, body: bytes) -> bytes:
    """As clients do that look at the answer only when they have sent everything."""
    with socket.create_connection(("127.0.0.1", port), timeout=300) as connection:
        connection.sendall(head.encode() + b"\r\n\r\n")
        connection.sendall(body)
        answer = b""
        while b"\r\n\r\n" not in answer and (part := connection.recv(65536)):
            answer += part
        return answer


def requests(locked: Locked) -> list[tuple[str, int]]:
    """Heads that are refused, and how."""
    all_ = locked.keys["all"]
    line = "POST {} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json"
    return [
        (line.format("/embed/text"), 401),
        (line.format("/embed/text") + f"\r\nx-api-key: {locked.keys['read']}", 403),
        (line.format("/embed/text") + f"\r\nx-api-key: {all_}", 413),
        (line.format("/nowhere"), 404),
    ]


@pytest.mark.parametrize("chunked", [False, True])
def test_a_client_that_sends_everything_first_sees_the_status(locked: Locked, chunked: bool) -> None:
    body = b"x" * (40 * 2**20)
    for port in (locked.service.port, locked.direct):
        for head, status in requests(locked):
            if chunked:
                sent = b"".join(b"100000\r\n%b\r\n" % body[: 2**20] for _ in range(40)) + b"0\r\n\r\n"
                answer = send_all_then_read(port, head + "\r\ntransfer-encoding: chunked", sent)
            else:
                answer = send_all_then_read(port, head + f"\r\ncontent-length: {len(body)}", body)
            assert answer.startswith(b"HTTP/1.1 %d " % status), (port, head, answer)


def test_a_refusal_comes_before_the_body(locked: Locked) -> None:
    for port in (locked.service.port, locked.direct):
        for head, status in requests(locked):
            with socket.create_connection(("127.0.0.1", port), timeout=300) as connection:
                connection.sendall(f"{head}\r\ncontent-length: {30 * 2**20}\r\n\r\n".encode())
                assert connection.recv(12) == b"HTTP/1.1 %d" % status


def test_a_body_without_end_is_cut_off(locked: Locked) -> None:
    """Draining has an end: a client may not keep us reading for good."""
    head, _ = requests(locked)[0]
    with socket.create_connection(("127.0.0.1", locked.direct), timeout=300) as connection:
        connection.sendall(f"{head}\r\ntransfer-encoding: chunked\r\n\r\n".encode())
        part, sent = b"100000\r\n%b\r\n" % (b"x" * 2**20), 0
        while sent < 1024:
            try:
                connection.sendall(part)
            except (BrokenPipeError, ConnectionResetError):
                break
            sent += 1
        assert sent < 1024


def test_clients_cannot_set_serves_timeout(locked: Locked) -> None:
    """Serve would answer 408 after a millisecond, as it would wait for ever with 0."""
    texts = {"texts": [f"text {i} of many that take a while" for i in range(300)]}
    for url in locked.urls():
        headers = bearer(locked.keys["all"]) | {"x-request-timeout-seconds": "0.001"}
        assert web.post(f"{url}/embed/text", json=texts, headers=headers, timeout=3000).status_code == 200


def test_no_secret_and_no_path_is_in_log_or_answer(locked: Locked) -> None:
    url = locked.service.url
    unknown = api_keys.make("x", ["embed"])[0]
    for secret in (*locked.keys.values(), unknown):
        for path, body in (("/embed/text", b"{"), ("/similarity", b"[]"), ("/nowhere", b"")):
            answer = web.post(url + path, content=body, headers=bearer(secret))
            assert answer.status_code >= 400
            assert secret not in answer.text
            assert not any(word in answer.text for word in ("Traceback", ".py", str(ROOT), "site-packages"))
    # The logs are those of this service's replicas, with what failed in it.
    failed = web.post(f"{locked.service.url}/embed/text", json={}, headers=locked.bearer("all"))
    id_ = failed.headers["x-request-id"]
    wait_for(lambda: any(id_ in path.read_text(errors="replace") for path in _logs(locked.service)), what="the logs")
    logged = locked.service.output() + "".join(path.read_text(errors="replace") for path in _logs(locked.service))
    assert "embedding-service" in logged
    assert not [name for name, secret in locked.keys.items() if secret in logged]
    assert unknown not in logged


def test_logs_are_json_where_the_owner_asks_for_it(locked: Locked) -> None:
    failed = web.post(f"{locked.service.url}/embed/text", json={}, headers=locked.bearer("all"))
    id_ = failed.headers["x-request-id"]

    def lines() -> list[str]:
        files = [path for path in _logs(locked.service) if path.name.startswith("replica_")]
        return [line for path in files for line in path.read_text().splitlines() if id_ in line]

    [line] = wait_for(lines, what="the line of a request that failed")
    told = json.loads(line)
    assert told["levelname"] == "INFO"
    assert re.search(r"POST /embed/text 400 [0-9.]+ms invalid_request$", told["message"])


def _logs(service: RunningService) -> list[Path]:
    """Ray's logs of this service."""
    [server] = [p for p in service.processes() if p.name() == "gcs_server"]
    [folder] = [word.partition("=")[2] for word in server.cmdline() if word.startswith("--log_dir=")]
    return [path for path in Path(folder).rglob("*") if path.suffix in (".log", ".out", ".err") and path.is_file()]


def test_exactly_the_ports_that_security_md_names_answer_from_another_machine(locked: Locked) -> None:
    table = SECURITY.read_text().partition("## Ports of a local service")[2].partition("|---")[2].partition("\n\n")[0]
    rows = [line.split("|")[1:-1] for line in table.splitlines() if line.startswith("| `")]
    assert len(rows) > 4
    named = {row[0].strip() for row in rows if row[2].strip() == "yes"}
    assert named == {"`PORT`"}
    with outside.network() as (address, inside):
        opened = listening(locked.service.processes())
        assert {locked.service.port, locked.direct} < opened
        answered = {port for port in opened if inside(port)}
        assert inside(locked.service.port), f"the namespace does not reach {address} at all"
    assert answered == {locked.service.port}
