"""A row that a search has found, as a line of JSON."""

from typing import Any

import orjson

from app.corpus.schema import as_json_type


def json_line(found: dict[str, Any], row: dict[str, Any]) -> str:
    """`found`: what the search says of it; a column of the same name, such as `score`, is printed as `row.score`."""
    columns = {f"row.{name}" if name in found else name: value for name, value in row.items()}
    return orjson.dumps(found | columns, default=as_json_type).decode()
