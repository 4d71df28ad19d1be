"""Infers one Arrow type per column for all JSON rows of a corpus."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
import pyarrow as pa

Types = dict[str, Any]


def widen(types: Types, rows: Sequence[Mapping[str, Any]]) -> None:
    """Widen `types` to hold `rows`. A column with incompatible values becomes a string of JSON."""
    for name in dict.fromkeys(name for row in rows for name in row):
        found = _infer([row.get(name) for row in rows])
        types[name] = _merge(types[name], found) if name in types else found


def table(rows: Sequence[Mapping[str, Any]], types: Types) -> Any:
    """A `pyarrow.Table` with exactly these columns; missing fields are null."""
    return pa.table({name: _column([row.get(name) for row in rows], kind) for name, kind in types.items()})


def without_nulls(types: Types) -> Types:
    """Turn columns that hold only nulls into strings: few readers support Arrow's null type."""
    return {name: pa.string() if pa.types.is_null(kind) else kind for name, kind in types.items()}


def _infer(values: list[Any]) -> Any:
    try:
        return pa.array(values).type
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError):
        return pa.string()


def _merge(a: Any, b: Any) -> Any:
    if a == b or pa.types.is_null(b):
        return a
    if pa.types.is_null(a):
        return b
    if {a, b} == {pa.int64(), pa.float64()}:
        return pa.float64()
    if pa.types.is_nested(a) and pa.types.is_nested(b):
        try:
            return pa.unify_schemas([pa.schema([("x", a)]), pa.schema([("x", b)])], promote_options="permissive")[
                0
            ].type
        except (pa.ArrowInvalid, pa.ArrowTypeError):
            return pa.string()
    return pa.string()


def _column(values: list[Any], kind: Any) -> Any:
    if pa.types.is_string(kind):
        values = [
            value if value is None or isinstance(value, str) else orjson.dumps(value).decode() for value in values
        ]
    return pa.array(values, kind)
