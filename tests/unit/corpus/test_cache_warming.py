"""What is sent to a service's cache: the written vectors, most frequent texts first, no more than fit."""

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar

import numpy as np
import pytest

from app.corpus import cache_warming
from app.corpus.cache_warming import service_at, warm_cache
from app.corpus.run import CorpusOptions, embed_corpus, in_process
from app.errors import InvalidRequest, ServiceError, SpaceMismatch, Unavailable
from loadtests.pictures import encode, noise
from tests.support.corpus_fakes import DIMENSIONS, CountingModel, Embed, vector

# b 3 times, d twice, the others once.
TEXTS = ["a", "b", "c", "b", "d", "e is long", "d", "b", *(f"f{i}" for i in range(10))]
ORDER = ["b", "d", "a", "c", "e is long", *(f"f{i}" for i in range(10))]


class UnitModel(CountingModel):
    """Whose own rows have length 1."""

    normalized: ClassVar[bool] = True


@dataclass
class FakeService:
    size: int = 0
    max_size: int = 100
    max_bytes: int = 10**9
    bodies: list[dict[str, Any]] = field(default_factory=list)

    def __call__(self, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
        if path == "/cache/stats":
            return {"size": self.size, "maxSize": self.max_size, "bytes": 0, "maxBytes": self.max_bytes}
        assert body is not None
        self.bodies.append(body)
        return {"stored": len(body["texts"])}

    @property
    def texts(self) -> list[str]:
        return [text for body in self.bodies for text in body["texts"]]


@pytest.fixture
def unit() -> CountingModel:
    return UnitModel()


@pytest.fixture
def out(unit: CountingModel, tmp_path: Path) -> str:
    (tmp_path / "in.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in TEXTS))
    options = CorpusOptions(part_rows=4)
    embed_corpus(str(tmp_path / "in.jsonl"), str(tmp_path / "out"), options, in_process(unit.load))
    unit.seen.clear()
    return str(tmp_path / "out")


def test_most_frequent_first_and_nothing_is_embedded(
    out: str, unit: CountingModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_warming, "BATCH", 2)
    service = FakeService()
    assert warm_cache(out, unit, service) == {"texts": 15, "room": 100, "stored": 15}
    assert unit.seen == []
    pairs = [sorted(ORDER[i : i + 2]) for i in range(0, len(ORDER), 2)]
    assert [sorted(body["texts"]) for body in service.bodies] == pairs
    for body in service.bodies:
        rows = np.frombuffer(base64.b64decode(body["embeddings"]), "<f4").reshape(-1, DIMENSIONS)
        for text, row in zip(body["texts"], rows, strict=True):
            np.testing.assert_allclose(row, vector(text.encode()), atol=1e-6)
        assert body["tokens"] == [len(text.split()) for text in body["texts"]]
        assert body["truncated"] == [i for i, text in enumerate(body["texts"]) if "long" in text]
        assert (body["fingerprint"], body["model"]) == ("fake-1", "fake")


@pytest.mark.parametrize(
    ("service", "room"),
    [
        (FakeService(size=97), 3),
        (FakeService(size=120), 0),
        (FakeService(max_bytes=2 * (24 + 4 * DIMENSIONS) + 1), 2),
    ],
)
def test_no_more_than_there_is_room_for(service: FakeService, room: int, out: str, unit: CountingModel) -> None:
    assert warm_cache(out, unit, service) == {"texts": 15, "room": room, "stored": room}
    assert sorted(service.texts) == sorted(ORDER[:room])


def test_another_model_is_refused(out: str, unit: CountingModel) -> None:
    unit.fingerprint = "fake-2"
    with pytest.raises(SpaceMismatch, match="has changed since"):
        warm_cache(out, unit, FakeService())


def test_vectors_that_are_not_the_models_own_are_refused(embed: Embed, model: CountingModel, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("one\ntwo")
    forms: dict[str, dict[str, Any]] = {"half": {"dtype": "float16"}, "short": {"dimensions": 4}}
    for name, options in forms.items():
        embed(tmp_path / "in.txt", tmp_path / name, **options)
        with pytest.raises(InvalidRequest, match="full float32 vectors"):
            warm_cache(str(tmp_path / name), UnitModel(), FakeService())
    embed(tmp_path / "in.txt", tmp_path / "scaled")
    with pytest.raises(InvalidRequest, match="vectors of length 1"):
        warm_cache(str(tmp_path / "scaled"), model, FakeService())


def test_images_are_refused(embed: Embed, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.png").write_bytes(encode(noise(4, 5), "PNG"))
    embed(tmp_path / "in", tmp_path / "out")
    with pytest.raises(InvalidRequest, match="works for texts"):
        warm_cache(str(tmp_path / "out"), UnitModel(), FakeService())


class Answering(BaseHTTPRequestHandler):
    """Answers with what is left in `answers`."""

    answers: ClassVar[list[tuple[int, bytes]]] = []
    keys: ClassVar[list[str | None]] = []

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.keys.append(self.headers["authorization"])
        status, body = self.answers.pop(0)
        self.send_response(status)
        # A date as well as seconds; this one is over.
        self.send_header("retry-after", "0" if status == 429 else "Sun, 22 Nov 2026 20:00:00 GMT")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Answering) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def test_retries_on_503_and_error_messages(url: str) -> None:
    refusal = json.dumps({"error": {"message": "Another model serves here."}}).encode()
    Answering.answers = [(503, b""), (429, b""), (200, b'{"stored": 3}'), (409, refusal), (403, b"not JSON")]
    Answering.keys.clear()
    call = service_at(url, "secret")
    assert call("/cache/warm", {}) == {"stored": 3}
    with pytest.raises(SpaceMismatch, match=r"refused /cache/warm \(409\): Another model serves here."):
        call("/cache/warm", {})
    with pytest.raises(ServiceError, match=r"\(403\): Forbidden"):
        call("/cache/warm", {})
    assert Answering.keys == ["Bearer secret"] * 5
    assert Answering.answers == []


def test_unreachable_service() -> None:
    with pytest.raises(Unavailable, match="can't be reached"):
        service_at("http://127.0.0.1:1", None)("/cache/stats", None)
    with pytest.raises(InvalidRequest, match="needs the URL"):
        service_at("localhost:3000", None)
