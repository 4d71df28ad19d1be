"""What `input` of `/v1/embeddings` may be, told apart: texts, token ids or {text} and {image} objects."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.errors import InvalidRequest
from app.mixed_batch import Item

FORMS = "a string, a list of strings, a list of token ids, a list of lists of token ids, or {text} and {image} objects"
MOST_ID = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Texts:
    texts: Sequence[str]


@dataclass(frozen=True, slots=True)
class Ids:
    arrays: Sequence[Sequence[int]]


@dataclass(frozen=True, slots=True)
class Objects:
    items: Sequence[Item]


def parse(value: Any) -> Texts | Ids | Objects:
    """Raises InvalidRequest, naming the input at fault."""
    if isinstance(value, str):
        return Texts([_text(value, "input")])
    if not isinstance(value, list) or not value:
        raise InvalidRequest(f"`input` must be {FORMS}; not empty.", "input")
    first = value[0]
    if isinstance(first, str) and all(isinstance(one, str) for one in value):
        return Texts([_text(one, f"input.{i}") for i, one in enumerate(value)])
    if _is_id(first):
        return Ids([_ids(value, "input")])
    if isinstance(first, list):
        return Ids([_ids(one, f"input.{i}") for i, one in enumerate(value)])
    if isinstance(first, (dict, str)):
        return Objects([_item(one, f"input.{i}") for i, one in enumerate(value)])
    raise InvalidRequest(f"`input.0` is of no kind that is known here. `input` must be {FORMS}.", "input.0")


def _text(value: str, param: str) -> str:
    if not value:
        raise InvalidRequest(f"`{param}` must not be empty.", param)
    return value


def _is_id(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _ids(value: Any, param: str) -> Sequence[int]:
    if not isinstance(value, list) or not value:
        raise InvalidRequest(f"`{param}` must be a list of token ids; not empty.", param)
    if not all(_is_id(one) and 0 <= one <= MOST_ID for one in value):
        raise InvalidRequest(f"`{param}` must hold token ids only: whole numbers from 0.", param)
    return value


def _item(value: Any, param: str) -> Item:
    if isinstance(value, str):
        return Item("text", _text(value, param), None)
    if isinstance(value, dict) and len(value) == 1:
        if isinstance(value.get("text"), str):
            return Item("text", _text(value["text"], f"{param}.text"), None)
        if "image" in value:
            return Item("image", value["image"], None)
    raise InvalidRequest(f"`{param}` must be a string, {{text}} with a string, or {{image}}.", param)
