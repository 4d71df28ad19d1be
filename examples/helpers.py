"""The few calls that the examples share, with the standard library and numpy only.

`encode_text` and `encode_images` ask the service; `find_similar` and `average_embeddings` work on what it said.
"""

import base64
import json
import sys
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
URL = "http://localhost:3000"


def url_from_command_line() -> str:
    return sys.argv[1] if len(sys.argv) > 1 else URL


def post(url: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """JSON to JSON. Raises urllib.error.HTTPError; its body says what was wrong."""
    request = urllib.request.Request(  # noqa: S310 - the caller's own service
        url + path, json.dumps(body).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
        data: dict[str, Any] = json.load(answer)
        return data


def encode_text(url: str, texts: Sequence[str], model: str | None = None) -> Vectors:
    """(n, dimensions), rows of length 1, in the order of `texts`."""
    body = {"texts": list(texts)} | ({"model": model} if model else {})
    return np.array(post(url, "/embed/text", body)["embeddings"], np.float32)


def encode_images(url: str, images: Sequence[bytes | Path], model: str | None = None) -> Vectors:
    """Image files, as bytes or paths -> (n, dimensions), rows of length 1, in order."""
    data = [image if isinstance(image, bytes) else image.read_bytes() for image in images]
    body = {"images": [base64.b64encode(item).decode() for item in data]} | ({"model": model} if model else {})
    return np.array(post(url, "/embed/image", body)["embeddings"], np.float32)


def find_similar(query: Vectors, candidates: Vectors, top_k: int = 5) -> list[tuple[int, float]]:
    """(index, cosine) of the candidates nearest to `query`, best first. Rows have length 1."""
    scores = candidates @ query
    return [(int(i), float(scores[i])) for i in np.argsort(-scores, kind="stable")[:top_k]]


def average_embeddings(embeddings: Vectors) -> Vectors:
    """(n, d) -> (d,): their mean, scaled to length 1; what many liked things have in common."""
    mean = embeddings.mean(axis=0)
    length = float(np.linalg.norm(mean))
    return np.asarray(mean / length if length else mean, np.float32)
