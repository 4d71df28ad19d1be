"""Embeddings as a matrix of bytes: little-endian rows or a NumPy file, with what JSON says beside them in headers."""

from io import BytesIO
from typing import Any, Final
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray
from starlette.responses import Response

from app.api.wire.negotiation import NPY
from app.errors import NotAcceptable
from app.schemas import Json

# Header lines stay short and few enough for every client and proxy on the way.
INDICES_PER_LINE: Final = 1000
MOST_INDICES: Final = 2048
PLAIN: Final = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")


def matrix_response(rows: NDArray[Any], media: str, about: Json) -> Response:
    """(n, d) rows as `media`; `about`: what the JSON answer would say of them.

    Raises:
        NotAcceptable: More truncated inputs than headers can name.
    """
    little = np.ascontiguousarray(rows, rows.dtype.newbyteorder("<"))
    if media == NPY:
        file = BytesIO()
        np.save(file, little, allow_pickle=False)
        response = Response(file.getvalue(), media_type=media)
    else:
        response = Response(little.tobytes(), media_type=media)
    response.headers.update(
        {
            "x-embedding-shape": ",".join(map(str, rows.shape)),
            "x-embedding-dtype": rows.dtype.name,
            "x-embedding-model": _ascii(about["model"]),
            "x-embedding-dimensions": str(about["dimensions"]),
            "x-embedding-space": _ascii(about["space"]),
            "x-embedding-tokens": str(about["usage"]["tokens"]),
            "x-embedding-cache-hits": str(about["cacheHits"]),
        }
    )
    if "range" in about:
        response.headers["x-embedding-range"] = ",".join(map(str, about["range"]))
    if "note" in about:
        response.headers["x-embedding-note"] = _ascii(about["note"])
    for line in _lines(about["truncated"]):
        response.headers.append("x-embedding-truncated", line)
    return response


def _lines(indices: list[int]) -> list[str]:
    if len(indices) > MOST_INDICES:
        words = f"{len(indices):,} texts were cut, more than headers can name ({MOST_INDICES:,}): ask for JSON."
        raise NotAcceptable(words, "accept")
    starts = range(0, len(indices), INDICES_PER_LINE)
    return [",".join(map(str, indices[start : start + INDICES_PER_LINE])) for start in starts]


def _ascii(text: str) -> str:
    """Percent-encoded where it is not plain ASCII, which is all that a header can hold."""
    return quote(text, safe=PLAIN)
