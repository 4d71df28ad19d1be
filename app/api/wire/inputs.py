"""Parses the inputs of OpenAI's and TEI's clients: texts, token ids, or {text} and {image} objects.

`input` of `/v1/embeddings` may be any of these, `inputs` of `/embed` one of the first two.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.errors import EmptyInput, InvalidRequest
from app.service.batch import Item

FORMS = "a string, a list of strings, a list of token ids or a list of lists of token ids"
TEXTS = "a string or a list of strings"
IMAGES = "an image or a list of images, as strings"
MAX_ID = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Inputs:
    """One of these has at least one element, the others none."""

    texts: Sequence[str] = ()
    ids: Sequence[Sequence[int]] = ()
    objects: Sequence[Item] = ()


def parse(value: Any, *, are_images: bool = False) -> Inputs:
    """`input` of OpenAI's API. Raises InvalidRequest naming the invalid input. `are_images`: strings are images."""
    if are_images:
        listed = [value] if isinstance(value, str) else value
        images = texts_or_ids(listed, "input", IMAGES).texts
        if not images:
            raise InvalidRequest(f"`input` must be {IMAGES}.", "input")
        return Inputs(objects=[Item("image", one, None) for one in images])
    mixed = isinstance(value, list) and not all(isinstance(one, str) for one in value)
    if mixed and isinstance(value[0], (dict, str)):
        return Inputs(objects=[_item(one, f"input.{i}") for i, one in enumerate(value)])
    return texts_or_ids(value, "input", f"{FORMS}, or {{text}} and {{image}} objects")


def texts_or_ids(value: Any, name: str, forms: str = FORMS) -> Inputs:
    """Raises InvalidRequest naming the invalid input. `name`: the field's name."""
    if isinstance(value, str):
        return Inputs([_text(value, name)])
    if isinstance(value, list) and not value:
        raise EmptyInput(f"`{name}` must be {forms}; not empty.", name)
    if not isinstance(value, list):
        raise InvalidRequest(f"`{name}` must be {forms}.", name)
    first = value[0]
    if isinstance(first, str):
        return Inputs([_text(one, f"{name}.{i}") for i, one in enumerate(value)])
    if _is_id(first):
        return Inputs(ids=[_ids(value, name)])
    if isinstance(first, list):
        return Inputs(ids=[_ids(one, f"{name}.{i}") for i, one in enumerate(value)])
    raise InvalidRequest(f"`{name}.0` has an unsupported type. `{name}` must be {forms}.", f"{name}.0")


def texts(value: Any, name: str) -> Inputs:
    """A text or texts. Raises InvalidRequest naming the invalid one."""
    asked = texts_or_ids(value, name, TEXTS)
    if not asked.texts:
        raise InvalidRequest(f"`{name}` must be {TEXTS}.", name)
    return asked


def ids(value: Any, name: str) -> Sequence[Sequence[int]]:
    """Token ids, or lists of them. Raises InvalidRequest naming the invalid one."""
    forms = "a list of token ids, or a list of such lists"
    asked = texts_or_ids(value, name, forms)
    if not asked.ids:
        raise InvalidRequest(f"`{name}` must be {forms}.", name)
    return asked.ids


def contents(value: Any, name: str) -> Inputs:
    """Texts and images as {content: [part]}, as Cohere's and Voyage's clients send them. Raises InvalidRequest naming
    the invalid one."""
    if not isinstance(value, list) or not value:
        raise InvalidRequest(f"`{name}` must be a list of {{content}} objects; not empty.", name)
    found = []
    for i, one in enumerate(value):
        param = f"{name}.{i}.content"
        parts = one["content"] if isinstance(one, dict) and one.keys() == {"content"} else None
        if not isinstance(parts, list) or len(parts) != 1 or not isinstance(parts[0], dict):
            message = f"`{param}` must be a list of one {{type, text}} or {{type, image_url}}: no model here makes one"
            raise InvalidRequest(f"{message} vector of several parts.", param)
        found.append(_item(parts[0], f"{param}.0"))
    return Inputs(objects=found)


def documents(value: Any, name: str) -> list[str]:
    """Strings, or {text} objects, as rerank clients send them. Raises InvalidRequest naming the invalid one."""
    if not isinstance(value, list) or not value:
        error = EmptyInput if value == [] else InvalidRequest
        raise error(f"`{name}` must be a list of strings or {{text}} objects; not empty.", name)
    texts = [one["text"] if isinstance(one, dict) and one.keys() == {"text"} else one for one in value]
    for i, text in enumerate(texts):
        if not isinstance(text, str):
            raise InvalidRequest(f"`{name}.{i}` must be a string, or an object of a `text` alone.", f"{name}.{i}")
    return [_text(text, f"{name}.{i}") for i, text in enumerate(texts)]


def documents_or_images(value: Any, name: str) -> tuple[list[str], dict[int, Item]]:
    """As `documents`, or {image} objects, as Jina's clients send them: the texts, empty in place of an image, and the
    images by index."""
    given = value if isinstance(value, list) else []
    images = {
        i: _item(one, f"{name}.{i}") for i, one in enumerate(given) if isinstance(one, dict) and "text" not in one
    }
    texts = documents(["image" if i in images else one for i, one in enumerate(given)] if images else value, name)
    return ["" if i in images else text for i, text in enumerate(texts)], images


def _text(value: Any, param: str) -> str:
    if not isinstance(value, str):
        raise InvalidRequest(f"`{param}` must be a string, like the other inputs.", param)
    if not value:
        raise EmptyInput(f"`{param}` must not be empty.", param)
    return value


def _is_id(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _ids(value: Any, param: str) -> Sequence[int]:
    if not isinstance(value, list) or not value:
        raise InvalidRequest(f"`{param}` must be a list of token ids; not empty.", param)
    if not all(_is_id(one) and 0 <= one <= MAX_ID for one in value):
        raise InvalidRequest(f"`{param}` must hold token ids only: whole numbers from 0.", param)
    return value


def _item(value: Any, param: str) -> Item:
    if isinstance(value, str):
        return Item("text", _text(value, param), None)
    if isinstance(value, dict) and value.get("type") in ("text", "image_url", "image_base64"):
        # The parts of a chat message have a `type` field.
        value = {key: inner for key, inner in value.items() if key != "type"}
    if isinstance(value, dict) and len(value) == 1:
        if "image_url" in value:
            return Item("image", value, None)
        if isinstance(value.get("text"), str):
            return Item("text", _text(value["text"], f"{param}.text"), None)
        if "url" in value:
            return Item("image", value, None)
        if found := value.keys() & {"image", "bytes", "image_base64"}:
            return Item("image", value[found.pop()], None)
    raise InvalidRequest(f"`{param}` must be a string, {{text}} with a string, or {{image}}.", param)
