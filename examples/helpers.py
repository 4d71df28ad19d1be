"""The few calls that the examples share: the Python client's, and the service's own JSON for whatever it lacks.

`encode_text` and `encode_images` ask the service; `find_similar` and `average_embeddings` work on what it said.
"""

import json
import os
import sys
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from embeddings_client import EmbeddingClient, Texts, average_embeddings, find_similar
from embeddings_client.types import Vector

__all__ = [
    "average_embeddings",
    "encode_images",
    "encode_text",
    "find_similar",
    "post",
    "service_url",
    "url_from_command_line",
]


def service_url() -> str:
    """Where the service is: EMBEDDING_URL, or this machine at PORT."""
    return os.environ.get("EMBEDDING_URL") or f"http://localhost:{os.environ.get('PORT') or 3000}"


def url_from_command_line() -> str:
    return sys.argv[1] if len(sys.argv) > 1 else service_url()


def post(url: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """JSON to JSON. Raises urllib.error.HTTPError; its body says what was wrong."""
    request = urllib.request.Request(  # noqa: S310 - the caller's own service
        url + path, json.dumps(body).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
        data: dict[str, Any] = json.load(answer)
        return data


def encode_text(url: str, texts: Sequence[str], model: str | None = None) -> Vector:
    """(n, dimensions), rows of length 1, in the order of `texts`."""
    with EmbeddingClient(url) as client:
        # By `run`, since `embed_texts` would warn of the few passages that are longer than the model reads.
        return client.run(Texts(texts, model=model)).vectors


def encode_images(url: str, images: Sequence[bytes | Path], model: str | None = None) -> Vector:
    """Image files, as bytes or paths -> (n, dimensions), rows of length 1, in order."""
    with EmbeddingClient(url) as client:
        return client.embed_images(images, model=model)
