"""Writes embeddings as a binary matrix (raw little-endian or NumPy file), with the metadata in headers."""

from io import BytesIO
from typing import Any, Final
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray
from starlette.responses import Response

from app.api.wire.negotiation import NPY
from app.errors import NotAcceptable
from app.schemas.wire import Json

# Few and short enough header lines for all clients and proxies.
INDICES_PER_LINE: Final = 1000
MAX_INDICES: Final = 2048
PLAIN: Final = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")


def matrix_response(rows: NDArray[Any], media: str, metadata: Json) -> Response:
    """(n, d) rows as `media`. `metadata`: the fields that the JSON response would have. Raises NotAcceptable if
    too many inputs were truncated to list them in headers."""
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
            "x-embedding-model": _ascii(metadata["model"]),
            "x-embedding-dimensions": str(metadata["dimensions"]),
            "x-embedding-space": _ascii(metadata["space"]),
            "x-embedding-tokens": str(metadata["usage"]["tokens"]),
            "x-embedding-cache-hits": str(metadata["cacheHits"]),
        }
    )
    if "range" in metadata:
        response.headers["x-embedding-range"] = ",".join(map(str, metadata["range"]))
    if "note" in metadata:
        response.headers["x-embedding-note"] = _ascii(metadata["note"])
    for line in _lines(metadata["truncated"]):
        response.headers.append("x-embedding-truncated", line)
    return response


def _lines(indices: list[int]) -> list[str]:
    if len(indices) > MAX_INDICES:
        message = f"{len(indices):,} texts were truncated, more than headers can list ({MAX_INDICES:,}): ask for JSON."
        raise NotAcceptable(message, "accept")
    starts = range(0, len(indices), INDICES_PER_LINE)
    return [",".join(map(str, indices[start : start + INDICES_PER_LINE])) for start in starts]


def _ascii(text: str) -> str:
    """Percent-encode characters that are not plain ASCII, which headers can't hold."""
    return quote(text, safe=PLAIN)
