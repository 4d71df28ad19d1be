"""Whatever the environment says of proxies, a service on this machine is reached directly."""

import httpx
import pytest

from embeddings_client import AsyncEmbeddingClient, EmbeddingClient
from embeddings_client.base import is_loopback
from tests.support.serving import served

VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


@pytest.fixture(params=["http://127.0.0.1:9", "socks5://127.0.0.1:9", "not a proxy"])
def proxies(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A dead one, one that httpx has no package for, and one that it can't read."""
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    for name in VARIABLES:
        monkeypatch.setenv(name, request.param)
    return str(request.param)


def service(request: httpx.Request) -> httpx.Response:
    return httpx.Response(418, json={"error": {"code": "reached", "message": "a teapot", "param": None}})


def test_a_client_of_this_machine_asks_no_proxy(proxies: str) -> None:
    with served(service) as url, EmbeddingClient(url) as client, pytest.raises(Exception, match="a teapot"):
        client.embed_texts(["a"])


async def test_neither_does_an_asynchronous_one(proxies: str) -> None:
    with served(service) as url:
        async with AsyncEmbeddingClient(url) as client:
            with pytest.raises(Exception, match="a teapot"):
                await client.embed_texts(["a"])


@pytest.mark.parametrize(
    ("url", "here"),
    [
        ("http://127.0.0.1:3000", True),
        ("http://127.8.0.1", True),
        ("https://localhost/x", True),
        ("http://[::1]:3000", True),
        ("http://a.localhost", True),
        ("http://0.0.0.0:3000", True),
        ("http://[::]:3100", True),
        ("http://0:3000", True),
        ("http://127.1:3000", True),
        ("http://2130706433", True),
        ("http://LOCALHOST.:3000", True),
        ("http://[::ffff:127.0.0.1]:3000", True),
        ("http://10.0.0.1", False),
        ("http://10.1", False),
        ("http://[::ffff:10.0.0.1]", False),
        ("http://localhost.example.org", False),
        ("https://example.org", False),
    ],
)
def test_loopback_is_told_by_the_host(url: str, here: bool) -> None:
    assert is_loopback(url) is here
