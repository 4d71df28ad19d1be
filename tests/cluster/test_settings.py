"""Settings that no other test's service has: a text model's backup, several cache shards, image URLs, CORS."""

import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import numpy as np
import pytest

from loadtests.pictures import b64, file_of, picture
from loadtests.running import RunningService, running, wait_for, write_config
from tests.support import outside
from tests.support.oracle import Oracle

MISSING, MINILM = "sentence-transformers/all-mpnet-base-v2", "sentence-transformers/all-MiniLM-L6-v2"
PAGE = "https://page.example"
PICTURE = file_of(picture(1))


class Pictures(BaseHTTPRequestHandler):
    """Answers with one picture, whatever is asked for."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-length", str(len(PICTURE)))
        self.end_headers()
        self.wfile.write(PICTURE)

    def log_message(self, *_: object) -> None: ...


@dataclass
class Site:
    """A server of pictures, on loopback and, where that can be, at a public address that is this machine's alone."""

    port: int
    public: str | None

    def url(self, address: str) -> str:
        return f"http://{address}:{self.port}/picture.png"


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with outside.public_address() as public, ThreadingHTTPServer(("0.0.0.0", 0), Pictures) as server:  # noqa: S104
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield Site(server.server_port, public)
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def service(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    hosts = ["127.0.0.1", *([site.public] if site.public else [])]
    config = write_config(
        tmp_path_factory.mktemp("settings"),
        text_models=[{"id": MISSING, "num_cpus": 0.2}],
        ingress={"num_cpus": 0.2},
        # What is found is found in the shards.
        cache={"shards": 3, "near_max_bytes": 0, "deadline_ms": 5000},
        image_urls={"hosts": hosts, "schemes": ["http"], "ports": [site.port]},
    )
    with running(config, TEXT_MODEL_FALLBACK="all-MiniLM-L6-v2", CORS_ORIGINS=PAGE) as service:
        yield service


@pytest.fixture
def client(service: RunningService) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service.url, timeout=60) as client:
        yield client


def test_a_backup_serves_and_every_answer_says_so(client: httpx.Client, oracle: Oracle) -> None:
    text = "the cat sat on the mat"
    note = f"{MISSING} is not available; the backup {MINILM} serves in its place."
    told = client.post("/embed/text", json={"texts": [text]}).json()
    assert (told["note"], told["model"]) == (note, MINILM)
    assert np.array(told["embeddings"][0]) @ oracle([text])[0] > 0.999
    [item] = client.post("/embed/batch", json={"items": [{"text": text}]}).json()["items"]
    assert item["note"] == note
    health = client.get("/health").json()
    assert (health["status"], health["details"][0]["note"]) == ("degraded", note)
    assert any(reason.startswith(f"{note} No weights for model") for reason in health["reasons"])


def test_several_shards_are_one_cache(service: RunningService, client: httpx.Client) -> None:
    assert len(service.named("CacheActor")) == 3
    client.post("/cache/clear").raise_for_status()
    texts = [f"{i} {uuid.uuid4()}" for i in range(64)]

    def hits() -> int:
        return int(client.post("/embed/text", json={"texts": texts}).json()["cacheHits"])

    assert hits() == 0
    wait_for(lambda: hits() == 64, what="64 hits")
    assert client.get("/cache/stats").json()["size"] == 64
    client.post("/cache/clear").raise_for_status()
    assert (client.get("/cache/stats").json()["size"], hits()) == (0, 0)


def test_an_image_of_a_url_is_the_image(client: httpx.Client, site: Site) -> None:
    if site.public is None:
        pytest.skip("needs root and iproute2 to have a public address")
    answer = client.post("/embed/image", json={"images": [site.url(site.public), b64(PICTURE)]})
    assert answer.status_code == 200, answer.text
    fetched, sent = answer.json()["embeddings"]
    assert fetched == sent


def test_an_image_of_a_url_inside_is_not_fetched(client: httpx.Client, site: Site) -> None:
    answer = client.post("/embed/image", json={"images": [b64(PICTURE), site.url("127.0.0.1")]})
    told = answer.json()["error"]
    words = "No image can be fetched from this URL."
    assert (answer.status_code, told["message"], told["param"]) == (400, words, "images.1")


def test_pages_of_the_origins_of_the_settings_may_call(client: httpx.Client) -> None:
    asks = {"access-control-request-method": "POST", "access-control-request-headers": "x-api-key"}
    may = client.options("/embed/text", headers={"origin": PAGE} | asks)
    assert (may.status_code, may.headers["access-control-allow-origin"]) == (200, PAGE)
    for body, status in (({"texts": ["a"]}, 200), ({}, 400)):
        answer = client.post("/embed/text", json=body, headers={"origin": PAGE})
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (status, PAGE)
    for other in (f"{PAGE}.evil.example", "http://page.example", "null"):
        answer = client.post("/embed/text", json={"texts": ["a"]}, headers={"origin": other})
        assert "access-control-allow-origin" not in answer.headers, other
        assert client.options("/embed/text", headers={"origin": other} | asks).status_code == 400
