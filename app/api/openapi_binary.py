"""What the OpenAPI document says of matrices: binary answers of embedding routes, a binary body of `/similarity`."""

from typing import Any, Final

from app.api.wire.negotiation import NPY, OCTETS
from app.schemas import Json, MatrixOptions
from app.vectors.binary_body import SHAPE


def _content(rows: str) -> Json:
    return {
        OCTETS: {
            "schema": {
                "type": "string",
                "format": "binary",
                "description": f"{rows} little-endian, row by row; `{SHAPE}` has the shape.",
            }
        },
        NPY: {"schema": {"type": "string", "format": "binary", "description": "The same matrix as a NumPy .npy file."}},
    }


ANSWER: Final = _content("One row per input in the outputType asked for,")
BODY: Final = _content("(1 + n, d) float32, the query's row first, then n · d at most <vector_elements> numbers,")
BODY[NPY]["schema"]["description"] += " float32 or float64, at most <vector_body> bytes."


def _header(kind: str, words: str, example: Any) -> Json:
    return {"description": f"Binary answers only: {words}", "schema": {"type": kind}, "example": example}


ANSWER_HEADERS: Final[Json] = {
    SHAPE: _header("string", "rows and columns.", "100,384"),
    "x-embedding-dtype": _header("string", "NumPy's name of a number's type: float32, int8 or uint8.", "float32"),
    "x-embedding-model": _header(
        "string",
        "full name of the model that made the vectors; percent-encoded where it is not ASCII, as all of these.",
        "sentence-transformers/all-MiniLM-L6-v2",
    ),
    "x-embedding-dimensions": _header("integer", "numbers of one vector of the model.", 384),
    "x-embedding-space": _header("string", "names the vector space: only vectors of one space compare.", "model@print"),
    "x-embedding-tokens": _header("integer", "tokens of all inputs, special ones included.", 412),
    "x-embedding-cache-hits": _header("integer", "how many of the vectors came from the cache.", 17),
    "x-embedding-truncated": _header(
        "string", "indices of inputs cut to the model's maximum length, in one or more lines; absent: none.", "3,17"
    ),
    "x-embedding-range": _header("string", "int8, uint8: the range that has levels.", "-0.255,0.255"),
    "x-embedding-note": _header("string", "what to know about this model, e.g. that it is a backup.", "A backup."),
}


def body_parameters() -> list[Json]:
    """Of a binary request, which has no fields of its own."""
    properties = MatrixOptions.model_json_schema()["properties"]
    parameters: list[Json] = [
        {"name": name, "in": "query", "required": False, "description": _words(about["description"]), "schema": about}
        for name, about in properties.items()
    ]
    shape = {
        "name": SHAPE,
        "in": "header",
        "required": False,
        "description": f"Needed with {OCTETS}: rows and columns of the body, the query's row included.",
        "schema": {"type": "string", "pattern": "^[0-9]+,[0-9]+$"},
        "example": "10001,384",
    }
    return [*parameters, shape]


def _words(description: str) -> str:
    return f"Binary bodies only (JSON has a field of this name). {description}"
