"""A server of one picture, on loopback and, where that can be, at a public address that is this machine's alone."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from loadtests.pictures import file_of, picture
from tests.support import outside

PICTURE = file_of(picture(1))


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-length", str(len(PICTURE)))
        self.end_headers()
        self.wfile.write(PICTURE)

    def log_message(self, *_: object) -> None: ...


@dataclass(frozen=True)
class Pictures:
    """`public`: its public address; None where the machine can't have one."""

    port: int
    public: str | None

    @property
    def settings(self) -> dict[str, object]:
        """`image_urls` of a service that may fetch from it, by either address."""
        hosts = ["127.0.0.1", *([self.public] if self.public else [])]
        return {"hosts": hosts, "schemes": ["http"], "ports": [self.port]}

    def url(self, address: str) -> str:
        return f"http://{address}:{self.port}/picture.png"


@contextmanager
def serving_pictures() -> Iterator[Pictures]:
    with outside.public_address() as public, ThreadingHTTPServer(("0.0.0.0", 0), _Handler) as server:  # noqa: S104
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield Pictures(server.server_port, public)
        finally:
            server.shutdown()
            thread.join()
