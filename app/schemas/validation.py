"""Converts validation errors into one `InvalidRequest` with an actionable message."""

import json
from codecs import BOM_UTF8
from typing import Any

import orjson
from pydantic import BaseModel, ValidationError

from app.errors import InvalidRequest, did_you_mean

_NAMES = {type(None): "null", bool: "a boolean", int: "a number", float: "a number", list: "a list", dict: "an object"}
_NO_UTF8 = "The body is not valid JSON: send it as UTF-8."


def json_text(body: bytes) -> bytes:
    """A JSON body without its byte order mark, which some clients send. Raises InvalidRequest for UTF-16 and UTF-32,
    and for an empty body."""
    if body[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in body[:4]:
        raise InvalidRequest(_NO_UTF8)
    if not (text := body.removeprefix(BOM_UTF8)):
        raise InvalidRequest("The body is empty; send a JSON object.")
    return text


def json_object(body: bytes, fields: str) -> dict[str, Any]:
    """Parse a JSON object. `fields`: its required fields, for the message.

    For bodies that are too large for pydantic: their numbers go straight into numpy, and pydantic validates the rest.
    """
    try:
        data = orjson.loads(json_text(body))
    except orjson.JSONDecodeError as error:
        if not _is_utf8(body):
            raise InvalidRequest(_NO_UTF8) from None
        raise InvalidRequest(f"The body is not valid JSON: {error.msg} (line {error.lineno}).") from None
    if not isinstance(data, dict):
        raise InvalidRequest(f"The body must be a JSON object with {fields}.")
    return data


def as_invalid_request(error: ValidationError, model: type[BaseModel], within: str | None = None) -> InvalidRequest:
    """The first error, with the field's path in wire names, e.g. `texts.3`. `within`: the field that contains the
    validated object, e.g. `items.7`."""
    first = error.errors(include_url=False, include_context=True)[0]
    # The kinds of a union are no fields.
    loc = [part for part in first["loc"] if part not in ("bool", "constrained-str")]
    param = ".".join(str(part) for part in (*([within] if within else []), *loc)) or None
    return InvalidRequest(_message(first, param, model), param)


def _message(error: Any, param: str | None, model: type[BaseModel]) -> str:
    kind, value, context = error["type"], error["input"], error.get("ctx") or {}
    field = f"`{param}`" if param else "The body"
    match kind:
        case "json_invalid" if isinstance(value, bytes) and not _is_utf8(value):
            return _NO_UTF8
        case "json_invalid":
            return f"The body is not valid JSON: {context.get('error', 'it can not be parsed')}."
        case "model_type" | "model_attributes_type" | "dict_type":
            return f"{field} must be a JSON object."
        case "missing":
            names = {info.alias or name for name, info in model.model_fields.items()}
            given = [name for name in value if name not in names][:64] if isinstance(value, dict) else []
            instead = next((name for name in given if did_you_mean(name, [str(error["loc"][-1])])), None)
            return f"{field} is missing" + (f": rename `{instead}`." if instead else ".")
        case "extra_forbidden":
            known = sorted(info.alias or name for name, info in model.model_fields.items())
            hint = did_you_mean(str(error["loc"][-1]), known)
            return f"{field} is not a field of this request. Known fields: {', '.join(known)}.{hint}"
        case "list_type" if isinstance(value, str):
            return f"{field} must be a list: send [{_excerpt(value)}] instead of a bare string."
        case "list_type":
            return f"{field} must be a list."
        case "too_short" | "string_too_short":
            return f"{field} must not be empty."
        case "string_type":
            return f"{field} must be a string, not {_NAMES.get(type(value), type(value).__name__)}."
        case "string_unicode":
            return f"{field} is not valid Unicode (a lone surrogate)."
        case _:
            return f"{field}: {error['msg']}."


def _is_utf8(body: bytes) -> bool:
    try:
        return body.decode() is not None
    except UnicodeDecodeError:
        return False


def _excerpt(text: str) -> str:
    return json.dumps(text[:40] + "…" if len(text) > 40 else text, ensure_ascii=False)
