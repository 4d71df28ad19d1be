"""Settings that few services have: a cache in several shards, images by URL, pages of other origins."""

import uuid
from collections.abc import Iterator

import httpx
import pytest

from loadtests.pictures import b64
from tests.support.caching import stored
from tests.support.locked import PAGE, SHARDS, Locked
from tests.support.needs import may_make_networks, missing
from tests.support.pictures_server import PICTURE


@pytest.fixture
def client(locked: Locked) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=locked.service.url, headers=locked.bearer("all"), timeout=300) as client:
        yield client


def test_several_shards_are_one_cache(locked: Locked, client: httpx.Client) -> None:
    assert len(locked.service.named("ray::CacheActor")) == SHARDS
    client.post("/cache/clear").raise_for_status()
    # One shard alone would be empty once in ten thousand million times.
    texts = [f"{i} {uuid.uuid4()}" for i in range(64)]

    def hits() -> int:
        return int(client.post("/embed/text", json={"texts": texts}).json()["cacheHits"])

    with stored(client, len(texts)):
        assert hits() == 0
    assert hits() == len(texts)
    assert client.get("/cache/stats").json()["size"] == len(texts)
    assert client.post("/cache/clear").json() == {"cleared": len(texts)}
    assert (client.get("/cache/stats").json()["size"], hits()) == (0, 0)


def test_an_image_of_a_url_is_the_image(locked: Locked, client: httpx.Client) -> None:
    if locked.pictures.public is None:
        words = "needs root and iproute2 to have a public address"
        missing(words, possible=may_make_networks())
    url = locked.pictures.url(locked.pictures.public)
    answer = client.post("/embed/image", json={"images": [url, b64(PICTURE)]})
    assert answer.status_code == 200, answer.text
    fetched, sent = answer.json()["embeddings"]
    assert fetched == sent


def test_an_image_of_a_url_inside_is_not_fetched_though_its_host_is_allowed(
    locked: Locked, client: httpx.Client
) -> None:
    answer = client.post("/embed/image", json={"images": [b64(PICTURE), locked.pictures.url("127.0.0.1")]})
    told = answer.json()["error"]
    words = "No image can be fetched from this URL."
    assert (answer.status_code, told["code"], told["message"], told["param"]) == (
        400, "invalid_image", words, "images.1",
    )  # fmt: skip


def test_an_image_of_a_host_that_is_not_allowed_is_not_fetched(locked: Locked, client: httpx.Client) -> None:
    answer = client.post("/embed/image", json={"images": [locked.pictures.url("192.0.2.7")]})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "images.0"), answer.text


def test_pages_of_the_origins_of_the_settings_may_call(locked: Locked, client: httpx.Client) -> None:
    asks = {"access-control-request-method": "POST", "access-control-request-headers": "x-api-key"}
    # A browser asks without the key.
    may = httpx.options(f"{locked.service.url}/embed/text", headers={"origin": PAGE} | asks, timeout=300)
    assert (may.status_code, may.headers["access-control-allow-origin"]) == (200, PAGE)
    for body, status in (({"texts": ["a"]}, 200), ({}, 400)):
        answer = client.post("/embed/text", json=body, headers={"origin": PAGE})
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (status, PAGE)
    for other in (f"{PAGE}.evil.example", "http://page.example", "null"):
        answer = client.post("/embed/text", json={"texts": ["a"]}, headers={"origin": other})
        assert "access-control-allow-origin" not in answer.headers, other
        assert client.options("/embed/text", headers={"origin": other} | asks).status_code == 400
