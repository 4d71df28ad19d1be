"""`POST /cache/warm`: what the served model made elsewhere goes into the cache, and nothing else does."""

import base64
from typing import Any

import numpy as np
import pytest

from app.cache.entry import pack, split
from app.cache.keys import KeyMaker
from app.errors import CacheUnavailable
from app.service.cache_warming import ReadyVectors, warm
from app.service.request_context import RequestContext, use
from tests.support.calling import Service, error_of
from tests.support.service_fakes import MODEL, entry_of

TEXTS = ["one", "two words", "nine words are more than it reads in one"]


def body_of(texts: list[str] = TEXTS, **changes: Any) -> dict[str, Any]:
    """What the fake encoder makes of them."""
    rows = np.array([[len(text), 4, 0] for text in texts], "<f4")
    words = [len(text.split()) for text in texts]
    return {
        "model": MODEL,
        "fingerprint": f"print of {MODEL}",
        "texts": texts,
        "embeddings": base64.b64encode(rows.tobytes()).decode(),
        "tokens": [min(count, 8) for count in words],
        "truncated": [i for i, count in enumerate(words) if count > 8],
    } | changes


def with_row(row: list[float], at: int = 1) -> str:
    rows = np.array([[len(text), 4, 0] for text in TEXTS], "<f4")
    rows[at] = row
    return base64.b64encode(rows.tobytes()).decode()


def test_entries_are_those_that_the_encoder_would_have_made() -> None:
    service = Service()
    answer = service.post("/cache/warm", json=body_of())
    assert answer.status_code == 200, answer.text
    assert (answer.json()["stored"], answer.json()["checked"]) == (3, 3)
    make_key = KeyMaker("", f"print of {MODEL}", "text").text
    assert service.control.warmed == {make_key(text): entry_of(text) for text in TEXTS}


def test_a_few_of_many_are_checked() -> None:
    service = Service()
    texts = [f"text {i}" for i in range(50)]
    assert service.post("/cache/warm", json=body_of(texts)).json()["checked"] == 4
    assert len(service.control.warmed) == 50


@pytest.mark.parametrize(
    ("changes", "status", "param", "words"),
    [
        ({"fingerprint": "another"}, 409, "fingerprint", "Embed the corpus with the served model"),
        ({"embeddings": with_row([4, -9, 0])}, 409, "embeddings", "Row 1 is not the vector"),
        ({"embeddings": with_row([0.91, 0.41, 0])}, 409, "embeddings", "length 0.998 instead of 9.85"),
        (
            {"embeddings": with_row([float("nan"), 4, 0])},
            400,
            "embeddings",
            "Row 1 of `embeddings` has a number that is not finite",
        ),
        ({"embeddings": "!"}, 400, "embeddings", "not base64"),
        ({"embeddings": ""}, 400, "embeddings", "0 bytes"),
        ({"embeddings": base64.b64encode(b"\0" * 35).decode()}, 400, "embeddings", "35 bytes"),
        ({"embeddings": base64.b64encode(b"\0" * 24).decode()}, 400, "embeddings", "3 texts need 3 × 3"),
        ({"tokens": [1, 2]}, 400, "tokens", "2 counts for 3 texts"),
        ({"tokens": [1, 1, 8]}, 400, "tokens", "text 1 has 2 tokens"),
        ({"truncated": []}, 400, "tokens", "text 2 has 8 tokens and is truncated"),
        ({"truncated": [3]}, 400, "truncated", "there are 3 texts"),
        ({"tokens": [1, -1, 8]}, 400, "tokens.1", "greater than or equal to 0"),
        ({"texts": []}, 400, "texts", "must not be empty"),
        ({"model": "nobody/none"}, 404, "model", "No text model named"),
    ],
)
def test_vectors_of_another_model_are_rejected(changes: dict[str, Any], status: int, param: str, words: str) -> None:
    service = Service()
    answer = service.post("/cache/warm", json=body_of(**changes))
    error = error_of(answer)
    assert (answer.status_code, error["param"]) == (status, param), error
    assert words in error["message"]
    assert service.control.warmed == {}


async def test_a_tenants_entries_are_its_own() -> None:
    service = Service()
    rows = np.array([[3, 4, 0]], np.float32)
    ready = ReadyVectors(f"print of {MODEL}", ["one"], rows, [1], [False])
    with use(RequestContext("a tenant")):
        assert await warm(service.embeddings, service.control.warm, ready, None) == (1, 1)
    assert list(service.control.warmed) == [KeyMaker("a tenant", f"print of {MODEL}", "text").text("one")]


def test_cache_warm_limits() -> None:
    assert Service(texts=2).post("/cache/warm", json=body_of()).status_code == 413
    assert Service(text_body=100).post("/cache/warm", json=body_of()).status_code == 413


def test_a_cache_out_of_reach_is_told() -> None:
    service = Service()
    service.control.fault = CacheUnavailable("The shared cache can't be reached. Try again.", retry_after=1)
    answer = service.post("/cache/warm", json=body_of())
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


def test_packed_rows_are_split_where_they_should_be() -> None:
    rows = np.array([[len(text), 4, 0] for text in TEXTS], np.float32)
    assert split(pack(rows, [1, 2, 8], [False, False, True]), 3) == [entry_of(text) for text in TEXTS]
