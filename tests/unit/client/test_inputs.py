"""Images, mixed items and vectors: what is sent for what is handed in, and what comes of the answers."""

import base64
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from PIL import Image

from app.client import AsyncEmbeddingClient, Chunking, EmbeddingClient, Search, average_embeddings, find_similar
from app.errors import InvalidImage, InvalidItem, InvalidRequest
from app.schemas.batch import BatchRequest
from app.schemas.embeddings import ImageRequest
from embeddings_client.items import image_bytes
from tests.support.talking import Caller, FakeService, both, upload, uploaded, vector_of


@both
def test_images_of_every_kind_go_as_files(kind: str, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"png of a")
    service = FakeService()
    images = [tmp_path / "a.png", b"bytes of b", str(tmp_path / "a.png"), bytearray(b"c")]
    rows = Caller(kind, service).embed_images(images, model="clip", normalize=False, output_type="uint8")
    assert uploaded(service.requests[0]) == [b"png of a", b"bytes of b", b"png of a", b"c"]
    np.testing.assert_array_equal(rows, [vector_of(data) for data in (b"png of a", b"bytes of b", b"png of a", b"c")])
    form = {name: value.decode() for name, value in upload(service.requests[0]) if name != "images"}
    assert form == {"model": "clip", "normalize": "false", "outputType": "uint8"}
    assert set(form) <= {field.alias for field in ImageRequest.model_fields.values()}


@both
def test_urls_are_for_the_service_to_fetch(kind: str) -> None:
    service = FakeService()
    url = "https://img.example.org/a b.png?x=ä"
    Caller(kind, service).embed_images([b"first", url, b"last"], model="clip")
    body = service.body(service.requests[0])
    assert body == {
        "images": [base64.b64encode(b"first").decode(), url, base64.b64encode(b"last").decode()],
        "model": "clip",
    }
    Caller(kind, service).embed_batch([{"image": url}])
    assert service.body(service.requests[1])["items"] == [{"image": url}]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I", "I;16", "CMYK", "YCbCr", "F"])
def test_pictures_in_memory_go_as_png(mode: str) -> None:
    picture = Image.new(mode, (5, 4))
    with Image.open(BytesIO(image_bytes(picture, "images.0"))) as read:
        assert (read.format, read.size) == ("PNG", (5, 4))


def test_pictures_keep_their_pixels() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (4, 5, 3), np.uint8)
    with Image.open(BytesIO(image_bytes(Image.fromarray(pixels), "images.0"))) as read:
        np.testing.assert_array_equal(np.asarray(read), pixels)


@both
def test_images_in_chunks_by_number_and_bytes(kind: str) -> None:
    service = FakeService()
    images = [bytes([65 + i]) * (i + 1) for i in range(7)]
    rows = Caller(kind, service, chunking=Chunking(images=3, image_bytes=11)).embed_images(images)
    np.testing.assert_array_equal(rows, [vector_of(data) for data in images])
    assert sorted(len(uploaded(request)) for request in service.requests) == [1, 1, 2, 3]


@both
def test_images_that_can_not_be_read_are_named(kind: str, tmp_path: Path) -> None:
    for images, param in [
        ([b"a", tmp_path / "none.png"], "images.1"),
        ([b"a", 7], "images.1"),
        ([tmp_path], "images.0"),
    ]:
        with pytest.raises(InvalidImage) as raised:
            Caller(kind, FakeService()).embed_images(images)
        assert raised.value.param == param
    with pytest.raises(InvalidRequest, match=r"put a single item into \[ \]"):
        Caller(kind, FakeService()).embed_images(Image.new("L", (1, 1)))


@both
def test_mixed_items_have_an_outcome_each(kind: str, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"png of a")
    items = [
        "text",
        "",
        b"bytes",
        tmp_path / "a.png",
        {"text": "more", "model": "large"},
        {"image": b"x"},
        {"text": ""},
    ]
    service = FakeService()
    results = Caller(kind, service, chunking=Chunking(texts=5)).embed_batch(items, batch_size=7)
    sent = [BatchRequest.model_validate_json(request.content) for request in service.requests]
    assert [body.batch_size for body in sent] == [7, 7]
    images = [item["image"] for body in sent for item in body.items if "image" in item]
    assert sorted(base64.b64decode(image) for image in images) == [b"bytes", b"png of a", b"x"]
    assert [result.vector is None for result in results] == [False, True, False, False, False, False, True]
    assert [(result.error.code, result.error.param) for result in results if result.error] == [
        ("invalid_item", "items.1.text"),
        ("invalid_item", "items.6.text"),
    ]
    np.testing.assert_array_equal(results[0].unwrap(), np.array(vector_of("text"), np.float32))
    assert results[0].unwrap().dtype == np.float32
    assert [result.model for result in results] == ["small", None, "small", "small", "large", "small", None]
    assert [result.cached for result in results] == [True, False, False, False, False, True, False]
    with pytest.raises(InvalidItem, match=r"`items\.6\.text` must not be empty"):
        results[6].unwrap()


@both
def test_items_of_no_known_kind(kind: str) -> None:
    for item in (7, None, {1, 2}):
        with pytest.raises(InvalidItem, match=r"items\.1"):
            Caller(kind, FakeService()).embed_batch(["a", item])


CANDIDATES = [f"{'abcdefgh'[i % 8] * (i % 13 + 1)}" for i in range(40)]


@both
@pytest.mark.parametrize(
    "options",
    [{}, {"top_k": 5}, {"threshold": 0.99}, {"metric": "euclidean", "top_k": 9}, {"metric": "dot", "top_k": 3}],
)
def test_search_in_parts_is_search_as_a_whole(kind: str, options: dict[str, Any]) -> None:
    whole = FakeService()
    once = Caller(kind, whole).search("abcd", CANDIDATES, **options)
    parts = FakeService()
    found = Caller(kind, parts, chunking=Chunking(candidates=7)).search("abcd", CANDIDATES, **options)
    assert (len(whole.requests), len(parts.requests)) == (1, 6)
    assert found == once
    assert [place for place, _ in found] == [hit.index for hit in found]
    assert orjson.loads(whole.requests[0].content)["candidates"][3] == {"text": CANDIDATES[3]}
    if "top_k" in options:
        assert len(found) == options["top_k"]


@both
def test_search_with_vectors_and_images(kind: str) -> None:
    service = FakeService()
    given: list[Any] = [np.array([4, 97, 1]), [1, 2, 3], "abcd", {"vector": (5, 6, 7)}]
    found = Caller(kind, service).search([4.0, 97.0, 1.0], given, top_k=2, space="s@1", model="m")
    assert [hit.index for hit in found] == [0, 2]
    body = service.body(service.requests[0])
    assert body["candidates"] == [
        {"vector": [4, 97, 1]},
        {"vector": [1, 2, 3]},
        {"text": "abcd"},
        {"vector": [5, 6, 7]},
    ]
    assert (body["query"], body["space"], body["model"]) == ({"vector": [4, 97, 1]}, "s@1", "m")
    ranked = Caller(kind, service).run(Search("abcd", ["abcd"]))
    assert (ranked.model, ranked.results[0].index) == ("small", 0)
    assert Caller(kind, FakeService()).search("a", []) == []


@both
def test_images_of_a_search_leave_room_for_the_query(kind: str) -> None:
    service = FakeService()
    caller = Caller(kind, service, chunking=Chunking(images=3))
    caller.search(b"q", [b"a", b"b", b"c", b"d", b"e"])
    assert service.sizes("candidates") == [2, 2, 1]


@both
def test_similarity_goes_as_one_matrix(kind: str) -> None:
    rows = np.random.default_rng(1).standard_normal((50, 4))
    service = FakeService()
    found = Caller(kind, service).similarity(rows[7], rows, top_k=3, metric="euclidean", threshold=1e9)
    assert (found[0].index, found[0].score) == (7, 0.0)
    [request] = service.requests
    assert request.headers["content-type"] == "application/x-npy"
    assert dict(request.url.params) == {"topK": "3", "metric": "euclidean", "threshold": "1000000000.0"}
    sent = np.load(BytesIO(request.content))
    assert sent.dtype == np.dtype("<f4")
    np.testing.assert_array_equal(sent, np.vstack([rows[7], rows]).astype(np.float32))


@both
def test_similarity_in_parts(kind: str) -> None:
    rows = np.random.default_rng(1).standard_normal((50, 4))
    parts = FakeService()
    found = Caller(kind, parts, chunking=Chunking(vector_elements=4 * 7)).similarity(rows[7], rows, top_k=20)
    assert len(parts.requests) == 8
    assert found == Caller(kind, FakeService()).similarity(rows[7], rows, top_k=20)
    assert found == find_similar(rows[7], rows, 20)
    assert Caller(kind, FakeService()).similarity(rows[7], []) == []


@both
def test_shapes_that_do_not_fit(kind: str) -> None:
    for query, candidates, param in [
        ([[1, 2]], [[1, 2]], "query"),
        ([], [[1, 2]], "query"),
        ([1, 2], [[1, 2, 3]], "candidates"),
        ([1, 2], [1, 2], "candidates"),
        ([1, 2], [[1, 2], [3]], "candidates"),
        (["a"], [["b"]], "candidates"),
    ]:
        with pytest.raises(InvalidRequest) as raised:
            Caller(kind, FakeService()).similarity(query, candidates)
        assert raised.value.param == param


def test_similar_vectors_best_first_and_ties_by_index() -> None:
    found = find_similar([1, 0], [[0, 1], [2, 0], [1, 1], [1, 0]], top_k=3)
    assert [hit.index for hit in found] == [1, 3, 2]
    assert [hit.score for hit in found] == pytest.approx([1, 1, 0.5**0.5])
    assert find_similar([1.0], np.empty((0, 1))) == []
    assert len(find_similar([1], np.ones((9, 1)))) == 5


def test_average_has_length_one() -> None:
    np.testing.assert_allclose(average_embeddings([[3, 0], [0, 3]]), [0.5**0.5] * 2, rtol=1e-6)
    np.testing.assert_array_equal(average_embeddings([[1, 0], [-1, 0]]), [0, 0])
    for none in ([], [1, 2]):
        with pytest.raises(ValueError, match="n at least 1"):
            average_embeddings(none)


def test_the_helpers_are_on_the_clients_too() -> None:
    for client in (EmbeddingClient, AsyncEmbeddingClient):
        assert client.find_similar is find_similar
        assert client.average_embeddings is average_embeddings
