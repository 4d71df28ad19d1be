"""Bodies that are no request -> one `InvalidRequest` in words a client can act on. No schemas here."""

import json
from typing import Any

import orjson
from pydantic import BaseModel, ValidationError

from app.errors import InvalidRequest


def json_object(body: bytes, fields: str) -> dict[str, Any]:
    """The object that the body is; `fields`: what it must hold, for the message.

    For bodies too large for pydantic: numbers go straight into numpy, and pydantic checks the rest.
    """
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(f"The body is not valid JSON: {error.msg} (line {error.lineno}).") from None
    if not isinstance(data, dict):
        raise InvalidRequest(f"The body must be a JSON object with {fields}.")
    return data


def as_invalid_request(error: ValidationError, model: type[BaseModel], within: str | None = None) -> InvalidRequest:
    """The first complaint, with the path of the field in wire names, e.g. `texts.3`.

    `within`: the field that held what was validated, e.g. `items.7`.
    """
    first = error.errors(include_url=False, include_context=True)[0]
    param = ".".join(str(part) for part in (*([within] if within else []), *first["loc"])) or None
    return InvalidRequest(_words(first, param, model), param)


def _words(complaint: Any, param: str | None, model: type[BaseModel]) -> str:
    kind, given, context = complaint["type"], complaint["input"], complaint.get("ctx") or {}
    field = f"`{param}`" if param else "The body"
    match kind:
        case "json_invalid":
            return f"The body is not valid JSON: {context.get('error', 'it can not be parsed')}."
        case "model_type" | "model_attributes_type" | "dict_type":
            return f"{field} must be a JSON object."
        case "missing":
            return f"{field} is missing."
        case "extra_forbidden":
            known = sorted(info.alias or name for name, info in model.model_fields.items())
            return f"{field} is not a field of this request. Known fields: {', '.join(known)}."
        case "list_type" if isinstance(given, str):
            return f"{field} must be a list: send [{_shown(given)}] instead of a bare string."
        case "list_type":
            return f"{field} must be a list."
        case "too_short" | "string_too_short":
            return f"{field} must not be empty."
        case "string_type":
            return f"{field} must be a string, not {_kind(given)}."
        case "string_unicode":
            return f"{field} is not valid Unicode (a lone surrogate)."
        case _:
            return f"{field}: {complaint['msg']}."


def _shown(text: str) -> str:
    return json.dumps(text[:40] + "…" if len(text) > 40 else text, ensure_ascii=False)


def _kind(value: Any) -> str:
    names = {
        type(None): "null",
        bool: "a boolean",
        int: "a number",
        float: "a number",
        list: "a list",
        dict: "an object",
    }
    return names.get(type(value), type(value).__name__)
