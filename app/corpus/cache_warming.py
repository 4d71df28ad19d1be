"""Copies vectors from a written corpus into the free room of a running service's cache, most frequent texts first.
Memory use is eight bytes per row and one part at a time."""

import base64
import time
from collections.abc import Callable
from itertools import accumulate
from typing import Any

import httpx
import numpy as np

from app.corpus import npy
from app.corpus.filesystem import locate
from app.corpus.known_vectors import hashes, matrix
from app.corpus.model import CorpusModel
from app.corpus.parts import Manifest, read_manifest
from app.corpus.source import VECTORS
from app.errors import InvalidRequest, SpaceMismatch, Unavailable
from embeddings_client.failures import error_body, retry_after_s
from embeddings_client.operation import json_of

Call = Callable[[str, dict[str, Any] | None], dict[str, Any]]
"""Path and JSON body (None: GET) -> the JSON response; raises ServiceError."""

BATCH, BATCH_BYTES = 1024, 4 * 2**20
ENTRY_BYTES = 16 + 8  # overhead of a cache entry: key, token count and flags
TRIES, TIMEOUT_S = 5, 60.0


def check_options(dtype: str, dimensions: int | None) -> None:
    """Raises InvalidRequest if the written vectors would not be the model's own output."""
    if dtype != "float32" or dimensions is not None:
        raise InvalidRequest("--warm-cache needs full float32 vectors: omit --dtype and --dimensions.")


def warm_cache(destination: str, model: CorpusModel, call: Call) -> dict[str, int]:
    """Send the vectors of `destination`, the output of `embed_corpus`, to the service behind `call`. Returns the
    numbers of distinct texts, of free entries, and of those stored. Raises InvalidRequest if they are not the model's
    own, of texts; SpaceMismatch if the service or `model` is another one."""
    folder = locate(npy.parts_folder(destination))
    manifest = read_manifest(folder)
    _check(manifest, model)
    size = ENTRY_BYTES + 4 * manifest.dimensions
    stats = call("/cache/stats", None)
    room = max(0, min(stats["maxSize"] - stats["size"], (stats["maxBytes"] - stats["bytes"]) // size))
    ends = list(accumulate(rows for _, rows in manifest.parts))

    def part(number: int, columns: list[str]) -> Any:
        return (folder / manifest.parts[number][0]).read_table(columns)

    keys = [hashes(part(i, [manifest.column])[manifest.column].to_pylist()) for i in range(len(ends))]
    _, first, counts = np.unique(np.concatenate([np.empty(0, np.uint64), *keys]), return_index=True, return_counts=True)
    chosen = first[np.lexsort((first, -counts))][:room]
    step = max(1, min(BATCH, BATCH_BYTES // size))
    stored = 0
    for rows in (chosen[start : start + step] for start in range(0, len(chosen), step)):
        texts: list[str] = []
        vectors = []
        numbers = np.searchsorted(ends, rows, side="right")
        for number in np.unique(numbers).tolist():
            start = ends[number] - manifest.parts[number][1]
            table = part(number, [manifest.column, VECTORS]).take((rows[numbers == number] - start).tolist())
            texts += table[manifest.column].to_pylist()
            vectors.append(matrix(table))
        tokenized = model.tokenize(texts)
        body = {
            "model": manifest.model,
            "fingerprint": manifest.fingerprint,
            "texts": texts,
            "embeddings": base64.b64encode(np.concatenate(vectors).astype("<f4").tobytes()).decode(),
            "tokens": [len(text.ids) for text in tokenized],
            "truncated": [i for i, text in enumerate(tokenized) if text.truncated],
        }
        stored += call("/cache/warm", body)["stored"]
    return {"texts": len(first), "room": room, "stored": stored}


def service_at(url: str, key: str | None) -> Call:
    """Calls a service over HTTP, with retries on 429 and 503. Raises InvalidRequest if `url` is not an HTTP URL."""
    if not url.startswith(("http://", "https://")):
        raise InvalidRequest(f"--warm-cache needs the URL of a service, like http://localhost:3000, not {url!r}.")

    def call(path: str, body: dict[str, Any] | None) -> dict[str, Any]:
        headers = {"authorization": f"Bearer {key}"} if key else {}
        method = "GET" if body is None else "POST"
        for left in reversed(range(TRIES)):
            try:
                response = httpx.request(method, url.rstrip("/") + path, json=body, headers=headers, timeout=TIMEOUT_S)
            except (httpx.RequestError, httpx.InvalidURL) as error:
                raise Unavailable(f"{url} can't be reached: {error}") from error
            if response.status_code == 200:
                return json_of(response)
            if response.status_code not in (429, 503) or not left:
                message = error_body(response).get("message") or response.reason_phrase
                error_class = SpaceMismatch if response.status_code == 409 else Unavailable
                raise error_class(f"The service refused {path} ({response.status_code}): {message}")
            retry_after = retry_after_s(response.headers)
            time.sleep(min(10.0, 1.0 if retry_after is None else retry_after))
        raise AssertionError

    return call


def _check(manifest: Manifest, model: CorpusModel) -> None:
    if manifest.kind != "text":
        raise InvalidRequest("--warm-cache works for texts only: the cache keys of images are made of decoded pixels.")
    if model.info.fingerprint != manifest.fingerprint:
        raise SpaceMismatch(f"{manifest.model} has changed since the corpus was embedded. Embed it again.")
    check_options(manifest.dtype, None if manifest.dimensions == model.info.dimensions else manifest.dimensions)
    if not model.info.normalized:
        raise InvalidRequest(
            f"The corpus holds vectors of length 1, but the cache needs {manifest.model}'s own output, which is not "
            "normalized."
        )
