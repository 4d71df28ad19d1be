"""The OpenAPI description of binary responses of embedding routes and of the binary body of `/similarity`."""

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


def _header(kind: str, text: str, example: Any) -> Json:
    return {"description": f"Binary responses only: {text}", "schema": {"type": kind}, "example": example}


ANSWER_HEADERS: Final[Json] = {
    SHAPE: _header("string", "rows and columns.", "100,384"),
    "x-embedding-dtype": _header("string", "NumPy's name of a number's type: float32, int8 or uint8.", "float32"),
    "x-embedding-model": _header(
        "string",
        "full name of the model; percent-encoded if it is not ASCII, as are all of these headers.",
        "sentence-transformers/all-MiniLM-L6-v2",
    ),
    "x-embedding-dimensions": _header("integer", "dimensions of the model.", 384),
    "x-embedding-space": _header(
        "string", "the vector space: only vectors of the same space can be compared.", "model@print"
    ),
    "x-embedding-tokens": _header("integer", "tokens of all inputs, including special tokens.", 412),
    "x-embedding-cache-hits": _header("integer", "how many of the vectors came from the cache.", 17),
    "x-embedding-truncated": _header(
        "string", "indices of inputs that were truncated, in one or more header lines; absent if none were.", "3,17"
    ),
    "x-embedding-range": _header("string", "int8, uint8: the range of values that the levels cover.", "-0.255,0.255"),
    "x-embedding-note": _header("string", "a remark on the model, e.g. that it is a backup.", "A backup."),
}


def body_parameters() -> list[Json]:
    """The query and header parameters of a binary request, which has no body fields."""
    properties = MatrixOptions.model_json_schema()["properties"]
    parameters: list[Json] = [
        {
            "name": name,
            "in": "query",
            "required": False,
            "description": _binary_only(schema["description"]),
            "schema": schema,
        }
        for name, schema in properties.items()
    ]
    shape = {
        "name": SHAPE,
        "in": "header",
        "required": False,
        "description": f"Required with {OCTETS}: rows and columns of the body, including the query's row.",
        "schema": {"type": "string", "pattern": "^[0-9]+,[0-9]+$"},
        "example": "10001,384",
    }
    return [*parameters, shape]


def _binary_only(description: str) -> str:
    return f"Binary bodies only (JSON has a field of this name). {description}"
