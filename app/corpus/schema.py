"""Arrow types of columns: one per column for all JSON rows of a corpus, and those that Arrow can filter."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson
import pyarrow as pa

Types = dict[str, Any]
_SMALL = pa.int32()  # while types are inferred: integers that float64 can hold exactly
_MAX_DEPTH = 60  # Arrow writes 64 levels


def widen(types: Types, rows: Sequence[Mapping[str, Any]]) -> None:
    """Widen `types` to hold `rows`. A column with incompatible values becomes a string of JSON."""
    for name in dict.fromkeys(name for row in rows for name in row):
        merged = _merge(types.get(name, pa.null()), _infer([row.get(name) for row in rows]))
        types[name] = pa.string() if merged is None else merged


def table(rows: Sequence[Mapping[str, Any]], types: Types) -> Any:
    """A `pyarrow.Table` with exactly these columns; missing fields are null."""
    return pa.table({name: _column([row.get(name) for row in rows], kind) for name, kind in types.items()})


def writable(types: Types) -> Types:
    """The types to write. What Parquet has no type for, or few readers read, becomes a string."""
    return {name: _writable(kind) for name, kind in types.items()}


def plain(table: Any) -> Any:
    """The table with views, which Arrow can't filter, as the types that they are views of."""
    kinds = [_mapped(field.type, _without_view) for field in table.schema]
    if kinds == table.schema.types:
        return table
    columns = [
        column if column.type == kind else pa.array(column.to_pylist(), kind)
        for column, kind in zip(table.columns, kinds, strict=True)
    ]
    schema = [field.with_type(kind) for field, kind in zip(table.schema, kinds, strict=True)]
    return pa.table(columns, pa.schema(schema, table.schema.metadata))


def python_rows(table: Any) -> list[dict[str, Any]]:
    """The rows of a table. What Python can't hold, such as a date beyond the year 9999, a string that is not UTF-8 or
    a time of an unknown zone, is as Arrow prints it."""
    try:
        rows: list[dict[str, Any]] = table.to_pylist()
    except (ValueError, OverflowError):
        columns = [[_python(column, i) for i in range(len(table))] for column in table.columns]
        return [dict(zip(table.column_names, row, strict=True)) for row in zip(*columns, strict=True)]
    return rows


def _python(column: Any, index: int) -> Any:
    try:
        return column[index].as_py()
    except (ValueError, OverflowError):
        shown: str = column.slice(index, 1).combine_chunks().to_string(skip_new_lines=True)
        return shown.removeprefix("[").removesuffix("]").removeprefix('"').removesuffix('"')


def as_json_type(value: object) -> str:
    """What JSON has no type for, for `default` of orjson: bytes are text if they are UTF-8."""
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else str(value)


def text_type(kind: Any) -> Any:
    """The type of a column's values: string, large_string, binary or large_binary; None if it holds no text."""
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    kind = _without_view(kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind)
    kind = pa.string() if pa.types.is_null(kind) else kind
    return kind if kind in (pa.string(), pa.large_string(), pa.binary(), pa.large_binary()) else None


def _infer(values: list[Any]) -> Any:
    try:
        kind = pa.array(values).type
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError):
        return pa.string()
    try:
        pa.array(values, _mapped(kind, lambda leaf: pa.float64() if leaf == pa.int64() else leaf))
    except pa.ArrowInvalid:
        return kind
    return _mapped(kind, lambda leaf: _SMALL if leaf == pa.int64() else leaf)


def _merge(a: Any, b: Any) -> Any:
    """A type that holds both; None if there is none."""
    if a == b or pa.types.is_null(b):
        return a
    if pa.types.is_null(a):
        return b
    if {a, b} <= {_SMALL, pa.int64(), pa.float64()}:
        return None if {a, b} == {pa.int64(), pa.float64()} else b if a == _SMALL else a
    if pa.types.is_list(a) and pa.types.is_list(b):
        inner = _merge(a.value_type, b.value_type)
        return None if inner is None else pa.list_(inner)
    if pa.types.is_struct(a) and pa.types.is_struct(b):
        fields = {field.name: field.type for field in a}
        for field in b:
            fields[field.name] = _merge(fields.get(field.name, pa.null()), field.type)
        return None if None in fields.values() else pa.struct(list(fields.items()))
    return None


def _writable(kind: Any) -> Any:
    unfit = pa.types.is_null(kind) or "struct<>" in str(kind) or _depth(kind) > _MAX_DEPTH
    return pa.string() if unfit else _mapped(kind, lambda leaf: pa.int64() if leaf == _SMALL else leaf)


def _depth(kind: Any) -> int:
    return 1 + max((_depth(kind.field(i).type) for i in range(kind.num_fields)), default=0)


def _without_view(kind: Any) -> Any:
    if pa.types.is_dictionary(kind):
        value = _without_view(kind.value_type)
        return kind if value == kind.value_type else value
    return {pa.string_view(): pa.string(), pa.binary_view(): pa.binary()}.get(kind, kind)


def _mapped(kind: Any, leaf: Callable[[Any], Any]) -> Any:
    """The type with its leaves replaced."""
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_mapped(field.type, leaf)) for field in kind])
    if pa.types.is_map(kind):
        return pa.map_(_mapped(kind.key_type, leaf), _mapped(kind.item_type, leaf))
    if pa.types.is_large_list(kind):
        return pa.large_list(kind.value_field.with_type(_mapped(kind.value_type, leaf)))
    if pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
        return pa.list_(kind.value_field.with_type(_mapped(kind.value_type, leaf)), getattr(kind, "list_size", -1))
    return leaf(kind)


def _column(values: list[Any], kind: Any) -> Any:
    if pa.types.is_string(kind):
        values = [value if value is None or isinstance(value, str) else _as_json(value) for value in values]
    return pa.array(values, kind)


def _as_json(value: Any) -> str:
    try:
        return orjson.dumps(value).decode()
    except TypeError:  # an integer of more than 64 bits
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
