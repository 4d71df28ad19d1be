"""The base classes and common fields of the wire models. Fields are camelCase on the wire, times in milliseconds.
Requests reject unknown fields, so that a misspelt option is an error. Limits are checked where the work is done.

A description may contain the name of a limit, e.g. `<texts>`; the OpenAPI document replaces it by its value.
"""

from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic.alias_generators import to_camel

from app.types import InputType, OutputType

Json = dict[str, Any]


class Wire(BaseModel):
    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        strict=True,
        protected_namespaces=(),
        ser_json_inf_nan="null",
        allow_inf_nan=False,
    )


class SnakeWire(Wire):
    """For the OpenAI and TEI routes, whose fields are snake_case."""

    model_config = ConfigDict(alias_generator=None)


# Of the native routes.
class ErrorBody(Wire):
    code: str = Field(description="For programs, e.g. invalid_request; the statuses' descriptions list them.")
    message: str = Field(description="For people: what is wrong and how to fix it.")
    param: str | None = Field(description="The field at fault, e.g. texts.3")
    request_id: str = Field(
        description="The x-request-id that you sent, or a generated one; identifies the request in the log."
    )


class ErrorResponse(Wire):
    error: ErrorBody = Field(description="What went wrong.")


Text = Annotated[str, Field(min_length=1, description="Text to embed; not empty, at most <text_bytes> UTF-8 bytes.")]
ModelName = Annotated[
    str | None,
    Field(description="Full or short name of a served model, or an alias; default: the first one configured."),
]
Normalize = Annotated[
    bool, Field(description="Scale each embedding to length 1. False: the model's own output as published.")
]

Output = Annotated[
    OutputType,
    Field(
        description="float32; int8, uint8: 256 levels over the range that the response states, values beyond it are "
        "clipped; binary, ubinary: signs packed 8 to a byte (the dimensions must be a multiple of 8), as int8 or uint8."
    ),
]
PromptName = Annotated[
    str | None,
    Field(description="Name of one of the model's prompts; it is prepended to every text instead of the default one."),
]
Purpose = Annotated[
    InputType | None,
    Field(
        description="query or document: use the model's prompt for it, if there is one. A prompt name takes precedence."
    ),
]


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


# 5.0 is an integer in JSON Schema, and so for clients generated from it.
Whole = BeforeValidator(_whole)
Count = Annotated[int, Field(ge=1), Whole]

# Parsed and checked with numpy.
FLOAT32: Final = 3.4028234663852886e38
Float32 = Annotated[float, Field(ge=-FLOAT32, le=FLOAT32)]

TEXT: Final[Json] = {"type": "string", "minLength": 1}
IDS: Final[Json] = {"type": "array", "minItems": 1, "items": {"type": "integer", "minimum": 0, "maximum": 2**31 - 1}}
TEXTS_OR_IDS: Final[list[Json]] = [
    TEXT,
    {"type": "array", "minItems": 1, "items": TEXT},
    IDS,
    {"type": "array", "minItems": 1, "items": IDS},
]
ABOUT_INPUTS: Final = (
    "A text, 1 to <texts> texts of at most <text_bytes> bytes, or token ids of the model's own tokenizer with its "
    "special tokens."
)


def closed(properties: Json, required: str, **more: Any) -> Json:
    """The schema of an object that has no other properties."""
    return {"type": "object", "properties": properties, "required": [required], "additionalProperties": False, **more}


def any_of(schemas: list[Json], description: str) -> WithJsonSchema:
    """The schema of a value that other code parses: pydantic's messages for a union would list every variant."""
    return WithJsonSchema({"anyOf": schemas, "description": description})


_OPENAI_URL = closed(
    {"url": {"type": "string", "description": "As {url}."}, "detail": {"description": "Accepted and ignored."}}, "url"
)
_OPENAI_IMAGE: Final[Json] = {
    "type": {"const": "image_url", "description": "Always this."},
    "image_url": {"anyOf": [{"type": "string"}, _OPENAI_URL], "description": "As {url}."},
}
_IMAGES: Final[list[Json]] = [
    {"type": "string", "minLength": 1},
    closed({"path": {"type": "string", "description": "A file beneath the image folder."}}, "path"),
    closed({"url": {"type": "string", "description": "https://… of an allowed host, or data:…"}}, "url"),
    closed(_OPENAI_IMAGE, "image_url", description="As in OpenAI's API."),
]
# Parsed and checked by `app.images.sources`.
ImageEntry = Annotated[
    Any,
    any_of(
        _IMAGES,
        "Data URI, base64, a path (`./…` or {path}) or a URL (`https://…`, {url} or {image_url}). At most "
        "<image_bytes> bytes and <image_pixels> pixels. Paths need IMAGE_FOLDER to be set, URLs IMAGE_URL_HOSTS.",
    ),
]
