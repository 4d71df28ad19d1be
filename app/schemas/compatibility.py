"""Requests of other APIs' clients: null fields are absent, and fields that change no vector may be unknown.

A field that would change vectors, dimensions, types or truncation is honoured or an error; a name that looks like one
of these is treated as one. All others are ignored, and the response names them.
"""

import re
from difflib import get_close_matches
from typing import Annotated, Any, ClassVar, Final, Literal
from urllib.parse import quote

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from app.errors import InvalidRequest, did_you_mean
from app.schemas.wire import SnakeWire

IGNORED_HEADER: Final = "x-embedding-ignored-fields"
MAX_NAMED: Final = 20
# Each is compared with all that are known.
MAX_UNKNOWN: Final = 64
_MAX_NAME: Final = 64
# What Infinity's clients send if no model is named.
_UNNAMED: Final = ("model", "default/not-specified")

# Accepted by name, although they contain a part of `_MATTERS`.
_HARMLESS: Final = frozenset(
    {
        *("user", "metadata", "model_info", "prompt_cache_key", "prompt_cache_retention", "wait_for_model"),
        *("extra_headers", "extra_query", "litellm_metadata", "litellm_params"),
    }
)
_MATTERS: Final = re.compile(
    "activat|adapter|apply|audio|base64|binar|chunk|colbert|compress_to|content|ctx|deployment|dense|dim|document|encod"
    "|endian|engine|format|fp16|image|input|instruct|int8|lang|layer|length|logits|lora|matryoshka|max_(char|seq|word)"
    "|messages|modal|model|mrl|norm|overlap|passage|pool|precision|prefix|processor|prompt|quant|query|rank_fields"
    "|represent|revision|scale|sentence|side|softmax|sparse|special|stride|suffix|task|template|text|title|token|trunc"
    "|type|vec|video|window"
)
# The values with which a field asks for what this service does anyway.
_DEFAULTS: Final[dict[str, tuple[Any, ...]]] = {
    **dict.fromkeys(("normalize", "normalized", "embed_normalize", "normalize_embeddings"), (True,)),
    **dict.fromkeys(("truncate", "truncation", "auto_truncate"), (True, "END", "end")),
    **dict.fromkeys(("truncation_side", "truncation_direction"), ("right", "Right")),
    **dict.fromkeys(("embedding_type", "embedding_types", "encoding_format", "output_dtype"), ("float", ["float"])),
    **dict.fromkeys(("activation", "use_activation", "softmax"), (True,)),
    "embed_dtype": ("float32",),
    "endianness": ("native", "little"),
    **dict.fromkeys(("late_chunking", "return_multivector", "return_token_ids"), (False,)),
    "add_special_tokens": (True,),
    "modality": ("text",),
    "rank_fields": (["text"],),
    # Go's clients send every field that they have: Weaviate's those of its answers, Ollama's its templates.
    "dims": (0,),
    "template": ("",),
}
_OURS: Final = {
    "output_dimension": "dimensions",
    "outputDimensionality": "dimensions",
    "embedding_type": "encoding_format or output_dtype",
    "task": "input_type or prompt_name",
    "task_type": "input_type or prompt_name",
    "instruction": "prompt_name",
    "prompt": "prompt_name",
    **dict.fromkeys(("engine", "deployment", "deployment_id"), "model"),
}

# What the clients of several APIs send; `app.service.prompts` knows the tasks, `app.api.endpoints.dialect` the rest.
_COHERE = Literal["search_query", "search_document", "classification", "clustering", "image"]
_JINA = Literal["retrieval.query", "retrieval.passage", "text-matching", "separation", "code.query", "code.passage"]
Task = Annotated[
    Literal["query", "document", "passage", _COHERE, _JINA] | None,
    Field(
        description="Use the model's prompt of this name, or the one for the same task in another API's words, if it "
        "has one: query, passage (NIM), search_query (Cohere), retrieval.query (Jina) … A prompt name takes precedence."
    ),
]


def _no_number(value: Any) -> Any:
    """To Python 1 is True, and to a choice that has True, too."""
    return str(value) if type(value) in (int, float) else value


Truncate = Annotated[
    Literal[True, False, "NONE", "START", "END", "none", "start", "end"] | None,
    BeforeValidator(_no_number),
    Field(description="END, true: the end of a text that is too long is cut off. NONE, false: it is an error."),
]


def _nullable(schema: dict[str, Any]) -> None:
    """Optional fields may be null."""
    for name, field in schema["properties"].items():
        if name not in schema.get("required", ()) and {"type": "null"} not in field.get("anyOf", ()):
            about = {key: field.pop(key) for key in ("default", "description", "title") if key in field}
            schema["properties"][name] = {"anyOf": [field, {"type": "null"}], **about} if field else about


def _merged(data: dict[str, Any], inner: dict[str, Any], name: str) -> dict[str, Any]:
    """Raises InvalidRequest for a field that stands in both with different values."""
    given = {key: value for key, value in inner.items() if value is not None}
    for key, value in given.items():
        if data.get(key) not in (None, value):
            raise InvalidRequest(f"`{key}` and `{name}.{key}` differ: send one of them.", f"{name}.{key}")
    return data | given


def _matters(name: str, value: Any, known: list[str], *, is_near: bool) -> bool:
    """Whether a field might change the response. `is_near`: names that are like known ones count as these."""
    if name in _HARMLESS or any(value == one and type(value) is type(one) for one in _DEFAULTS.get(name, ())):
        return False
    like = get_close_matches(name.lower(), known, 1, 0.75) if is_near else name in known
    return bool(_MATTERS.search(name.lower()) or like)


class CompatibleWire(SnakeWire):
    """A request that may have fields which this service does not know."""

    model_config = ConfigDict(extra="allow", json_schema_extra=_nullable)
    # Fields whose own fields count as if they stood beside them.
    NESTED: ClassVar[tuple[str, ...]] = ()

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        for name in cls.NESTED:
            inner = data.get(name)
            if isinstance(inner, dict):
                for one in cls.NESTED:
                    if inner.get(one) is not None:
                        where = f"{name}.{one}"
                        raise InvalidRequest(f"`{where}` is not supported: send its fields in `{name}`.", where)
                data = _merged({key: value for key, value in data.items() if key != name}, inner, name)
        return {name: value for name, value in data.items() if value is not None and (name, value) != _UNNAMED}

    @property
    def ignored(self) -> list[str]:
        """The fields without effect, in order. Raises InvalidRequest for one that would change the response."""
        given = self.model_extra or {}
        within = {
            f"{name}.{own}": (own, one)
            for name, value in given.items()
            if isinstance(value, dict) and name not in _HARMLESS
            for own, one in value.items()
        }
        if (count := len(given) + len(within)) > MAX_UNKNOWN:
            message = f"The request has {count:,} unknown fields; at most {MAX_UNKNOWN} are ignored."
            raise InvalidRequest(message, next(iter(given))[:_MAX_NAME])
        known = sorted(type(self).model_fields)
        for path, (name, value) in ({name: (name, value) for name, value in given.items()} | within).items():
            if _matters(name, value, known, is_near=path in given):
                instead = _OURS.get(name)
                hint = (
                    f"Use `{instead}`." if instead else f"Known fields: {', '.join(known)}.{did_you_mean(name, known)}"
                )
                raise InvalidRequest(f"`{path}` is not supported and might change the response. {hint}", path)
        return ["user", *given] if "user" in known and "user" in self.model_fields_set else [*given]

    def ignored_header(self) -> dict[str, str]:
        """The response header that names the ignored fields, percent-encoded; empty if there are none."""
        names = ", ".join(quote(name[:_MAX_NAME], safe="") for name in self.ignored[:MAX_NAMED])
        return {IGNORED_HEADER: names} if names else {}


class CohereErrorResponse(SnakeWire):
    id: str = Field(description="The x-request-id.")
    message: str = Field(description="What is wrong and how to fix it.")


class VoyageErrorResponse(SnakeWire):
    detail: str = Field(description="What is wrong and how to fix it.")


class PlainErrorResponse(SnakeWire):
    """As Ollama's and Weaviate's clients read it."""

    error: str = Field(description="What is wrong and how to fix it.")
