"""From a written corpus into a running service's cache, most frequent texts first. The service checks what it gets.

Only the room that is free is filled: what requests have brought into the cache is not pushed out. Eight bytes a row
are kept in memory, and a part at a time.
"""

import base64
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import httpx
import numpy as np
import orjson
import pyarrow.parquet as pq

from app.client.failures import retry_after_s
from app.corpus import npy
from app.corpus.filesystem import locate
from app.corpus.known_vectors import hashes, matrix
from app.corpus.model import CorpusModel
from app.corpus.parts import Manifest, read_manifest
from app.corpus.source import VECTORS
from app.errors import InvalidRequest, ServiceError, SpaceMismatch, Unavailable

Call = Callable[[str, dict[str, Any] | None], dict[str, Any]]
"""Path and JSON body (None: GET) -> the JSON answer; raises ServiceError."""

BATCH, BATCH_BYTES = 1024, 4 * 2**20
ENTRY_BYTES = 16 + 8  # a cache entry beside its row: key, token count and flags
TRIES, TIMEOUT_S = 5, 60.0


@dataclass(frozen=True, slots=True)
class Warmed:
    """`room`: entries the cache had place for; `texts`: different ones in the corpus; `stored`: that went in."""

    texts: int
    room: int
    stored: int


def check_form(dtype: str, dimensions: int | None) -> None:
    """Raises InvalidRequest where the output can't be the model's own."""
    if dtype != "float32" or dimensions is not None:
        raise InvalidRequest("--warm-cache needs whole float32 vectors: leave --dtype and --dimensions out.")


def warm_cache(destination: str, model: CorpusModel, call: Call) -> Warmed:
    """Send the output's vectors, as they are written, to the service behind `call`.

    Args:
        destination: What `embed_corpus` wrote.
        model: The one it was embedded with; it only tells token counts here.

    Raises:
        InvalidRequest: The output does not hold the model's own vectors of texts.
        SpaceMismatch: The service, or `model`, is another model than the corpus was embedded with.
    """
    folder = locate(npy.parts_folder(destination))
    manifest = read_manifest(folder)
    _check(manifest, model)
    size = ENTRY_BYTES + 4 * manifest.dimensions
    stats = call("/cache/stats", None)
    room = max(0, min(stats["maxSize"] - stats["size"], (stats["maxBytes"] - stats["bytes"]) // size))
    ends = list(accumulate(rows for _, rows in manifest.parts))

    def part(number: int, columns: list[str]) -> Any:
        with (folder / manifest.parts[number][0]).open() as file:
            return pq.read_table(file, columns=columns)

    keys = [hashes(part(i, [manifest.column])[manifest.column].to_pylist()) for i in range(len(ends))]
    _, first, counts = np.unique(np.concatenate([np.empty(0, np.uint64), *keys]), return_index=True, return_counts=True)
    chosen = first[np.lexsort((first, -counts))][:room]
    step = max(1, min(BATCH, BATCH_BYTES // size))
    stored = 0
    for rows in (chosen[start : start + step] for start in range(0, len(chosen), step)):
        texts: list[str] = []
        vectors = []
        for number, inside in _by_part(rows, ends):
            table = part(number, [manifest.column, VECTORS]).take(inside)
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
    return Warmed(len(first), room, stored)


def service_at(url: str, key: str | None) -> Call:
    """Calls over HTTP; what says "later" is tried again a few times.

    Raises:
        InvalidRequest: No URL of a service.
    """
    if not url.startswith(("http://", "https://")):
        raise InvalidRequest(f"--warm-cache needs the URL of a service, like http://localhost:3000, not {url!r}.")

    def call(path: str, body: dict[str, Any] | None) -> dict[str, Any]:
        headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {key}"} if key else {})
        data = None if body is None else orjson.dumps(body)
        for left in reversed(range(TRIES)):
            request = urllib.request.Request(url.rstrip("/") + path, data, headers)  # noqa: S310 - checked above
            try:
                with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
                    found: dict[str, Any] = json.load(answer)
                    return found
            except urllib.error.HTTPError as error:
                if error.code not in (429, 503) or not left:
                    raise _told(error, path) from error
                asked = retry_after_s(httpx.Headers(dict(error.headers)))
                time.sleep(min(10.0, 1.0 if asked is None else asked))
            except OSError as error:
                raise Unavailable(f"{url} can't be reached: {error}") from error
        raise AssertionError

    return call


def _check(manifest: Manifest, model: CorpusModel) -> None:
    if manifest.kind != "text":
        raise InvalidRequest("--warm-cache is for texts: the service's cache knows images by their pixels.")
    if model.info.fingerprint != manifest.fingerprint:
        raise SpaceMismatch(f"{manifest.model} is not the model any more that the corpus was embedded with.")
    check_form(manifest.dtype, None if manifest.dimensions == model.info.dimensions else manifest.dimensions)
    if not model.info.normalized:
        raise InvalidRequest(
            f"The corpus holds vectors of length 1, the service's cache {manifest.model}'s own, which are not."
        )


def _by_part(rows: Any, ends: list[int]) -> Iterator[tuple[int, list[int]]]:
    """Part and rows inside it, of rows of the whole."""
    numbers = np.searchsorted(ends, rows, side="right")
    for number in np.unique(numbers).tolist():
        start = ends[number - 1] if number else 0
        yield number, (rows[numbers == number] - start).tolist()


def _told(error: urllib.error.HTTPError, path: str) -> ServiceError:
    try:
        words = json.loads(error.read())["error"]["message"]
    except (ValueError, KeyError, TypeError):
        words = error.reason
    failure = SpaceMismatch if error.code == 409 else Unavailable
    return failure(f"The service refused {path} ({error.code}): {words}")
