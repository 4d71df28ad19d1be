"""`POST /embed/batch` over real HTTP: order, kinds, models, and errors that stay with their item."""

import uuid
from typing import Any

import httpx
import numpy as np

from loadtests.pictures import b64, file_of, fresh_seed, picture
from tests.support.caching import both_write, stored

MINILM = "sentence-transformers/all-MiniLM-L6-v2"


def batch(client: httpx.Client, items: list[Any], **options: Any) -> dict[str, Any]:
    answer = client.post("/embed/batch", json={"items": items, **options})
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def test_mixed_items_in_order_with_their_own_models(client: httpx.Client) -> None:
    text, image = "boats " + uuid.uuid4().hex, b64(file_of(picture(fresh_seed())))
    body = batch(client, [{"text": text}, {"image": image}, {"text": text, "model": "shapes-clip"}, {"text": text}])
    models = [item["model"] for item in body["items"]]
    assert models == [MINILM, "shapes-clip", "shapes-clip", MINILM]
    assert [item["dimensions"] for item in body["items"]] == [len(row) for row in body["embeddings"]]
    assert body["embeddings"][0] == body["embeddings"][3] != body["embeddings"][2]
    assert (body["model"], body["totalItems"]) == (MINILM, 4)
    alone = client.post("/embed/text", json={"texts": [text]}).json()["embeddings"][0]
    assert body["embeddings"][0] == alone
    alone = client.post("/embed/image", json={"images": [image]}).json()["embeddings"][0]
    assert np.abs(np.array(body["embeddings"][1]) - alone).max() < 1e-6


def test_one_bad_item_does_not_fail_the_others(client: httpx.Client) -> None:
    good = {"text": uuid.uuid4().hex}
    items = [
        good,
        {"text": ""},
        {"image": "zzzz"},
        {},
        {"text": "a", "image": "b"},
        {"text": "a", "model": "no-such"},
        7,
        {"text": "é" * 40_000},
        good,
    ]
    body = batch(client, items)
    assert [row is None for row in body["embeddings"]] == [False, *[True] * 7, False]
    errors = [(item["error"]["code"], item["error"]["param"]) for item in body["items"][1:-1]]
    assert errors == [
        ("invalid_item", "items.1.text"),
        ("invalid_image", "items.2"),
        ("invalid_item", "items.3"),
        ("invalid_item", "items.4"),
        ("model_not_found", "items.5"),
        ("invalid_item", "items.6"),
        ("payload_too_large", "items.7"),
    ]
    assert "`items.7` has 80,000 bytes" in body["items"][7]["error"]["message"]


def test_batches_and_times_are_what_happened(client: httpx.Client) -> None:
    items = [{"text": uuid.uuid4().hex} for _ in range(25)]
    both_write(client)
    with stored(client, len(items)):
        body = batch(client, items, batchSize=10)
    assert (body["totalItems"], body["batchesProcessed"]) == (25, 3)
    assert body["avgTimePerItem"] == round(body["totalTime"] / 25, 3) > 0
    assert [item["cached"] for item in body["items"]] == [False] * 25
    again = batch(client, items, batchSize=10)
    assert again["batchesProcessed"] == 0
    assert [item["cached"] for item in again["items"]] == [True] * 25
    assert again["embeddings"] == body["embeddings"]


def test_requests_that_are_wrong_as_a_whole(client: httpx.Client) -> None:
    for body, status, param in [
        ({}, 400, "items"),
        ({"items": []}, 400, "items"),
        ({"items": [{"text": "a"}], "batchSize": 0}, 400, "batchSize"),
        ({"items": [{"text": "a"}], "batchsize": 5}, 400, "batchsize"),
        ({"items": [{"text": "a"}] * 2049}, 413, "items"),
        ({"items": [{"image": "a"}] * 33}, 413, "items"),
    ]:
        answer = client.post("/embed/batch", json=body)
        assert (answer.status_code, answer.json()["error"]["param"]) == (status, param), answer.text
