"""The launcher's own questions to the service. Starting and stopping one: tests/cluster/test_lifecycle.py."""

import socket
import threading

import pytest

from app.config.settings import LaunchSettings
from app.local.launcher import Launcher


@pytest.mark.parametrize(
    ("answer", "health"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 15\r\n\r\n" + b'{"status":"ok"}', {"status": "ok"}),
        (b"HTTP/1.1 503 Busy\r\ncontent-length: 2\r\n\r\n{}", None),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nnope", None),
        (b"\x00\x00\x12\x04\x00\x00\x00\x00\x00", None),  # HTTP/2's settings frame: a gRPC server has the port
        (b"", None),
    ],
)
def test_health_is_what_the_service_says_once_it_is_well(answer: bytes, health: dict[str, str] | None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def speak() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer)

        speaker = threading.Thread(target=speak)
        speaker.start()
        settings = LaunchSettings(port=server.getsockname()[1])
        assert Launcher(settings, "serve_config.yaml", print).health() == health
        speaker.join()


def test_an_address_of_another_machine_is_named() -> None:
    said: list[str] = []
    settings = LaunchSettings(host="192.0.2.7", port=3999)  # RFC 5737: nobody's
    assert Launcher(settings, "serve_config.yaml", said.append).run() == 1
    assert said == ["HOST=192.0.2.7 is no address of this machine: 127.0.0.1 is, and 0.0.0.0 stands for all it has."]
