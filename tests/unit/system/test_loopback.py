"""`app.system.loopback`: every status is an answer, and no proxy is asked."""

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from app.system.loopback import direct


@pytest.mark.parametrize("status", [200, 302, 404, 503])
def test_every_status_is_an_answer(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("location", "/elsewhere")
            self.end_headers()
            self.wfile.write(self.path.encode())

        def log_message(self, *_: object) -> None:
            """Silent."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        with direct.open(f"http://127.0.0.1:{server.server_port}/here", timeout=5) as answer:
            assert (answer.status, answer.read()) == (status, b"/here")
        thread.join()
