"""How many things one request may bring, on every route that takes several; one more is refused and told the limit."""

from typing import Any

import pytest

from tests.support.calling import Service
from tests.support.service_fakes import MODEL, FakeEncoder

# OpenAI's API has no 413, text-embeddings-inference says 422.
STATUS = {"/v1/embeddings": 400, "/embed": 422, "/tokenize": 422}

CASES: list[tuple[str, str, Any]] = [
    ("/embed/text", "texts", lambda n: {"texts": [f"t{i}" for i in range(n)]}),
    ("/embed/image", "images", lambda n: {"images": ["AAAA"] * n}),
    ("/embed/batch", "texts", lambda n: {"items": [{"text": f"t{i}"} for i in range(n)]}),
    ("/embed/batch", "images", lambda n: {"items": [{"image": "AAAA"}] * n}),
    ("/search", "images", lambda n: {"query": {"text": "a"}, "candidates": [{"image": "AAAA"}] * n}),
    ("/v1/embeddings", "texts", lambda n: {"model": MODEL, "input": [f"t{i}" for i in range(n)]}),
    ("/v1/embeddings", "texts", lambda n: {"model": MODEL, "input": [[5]] * n}),
    ("/v1/embeddings", "images", lambda n: {"model": MODEL, "input": [{"image": "AAAA"}] * n}),
    ("/embed", "texts", lambda n: {"inputs": [f"t{i}" for i in range(n)]}),
    ("/tokenize", "texts", lambda n: {"inputs": [f"t{i}" for i in range(n)]}),
]


@pytest.mark.parametrize(("path", "limit", "body"), CASES, ids=[f"{path} {limit}" for path, limit, _ in CASES])
def test_item_limits_of_every_route(path: str, limit: str, body: Any) -> None:
    limits: dict[str, Any] = {limit: 2}
    service = Service(FakeEncoder(MODEL, ("text", "image")), **limits)
    fine, refused = (service.post(path, json=body(n)) for n in (2, 3))
    assert "at most" not in fine.text
    assert refused.status_code == STATUS.get(path, 413)
    assert "3 " in refused.text
    assert "at most 2" in refused.text or " 2." in refused.text
