"""The base classes and common fields of the wire models. Fields are camelCase on the wire. Requests reject unknown
fields, so that a misspelt option is an error.

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

# Parsed and checked by `app.images.sources`.
ImageEntry = Annotated[
    Any,
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "minLength": 1},
                {
                    "type": "object",
                    "properties": {"path": {"type": "string", "description": "A file beneath the image folder."}},
                    "required": ["path"],
                    "additionalProperties": False,
                },
                {
                    "type": "object",
                    "properties": {"url": {"type": "string", "description": "https://… of an allowed host, or data:…"}},
                    "required": ["url"],
                    "additionalProperties": False,
                },
                {
                    "type": "object",
                    "description": "As in OpenAI's API.",
                    "properties": {
                        "type": {"const": "image_url", "description": "Always this."},
                        "image_url": {
                            "anyOf": [
                                {"type": "string"},
                                {
                                    "type": "object",
                                    "properties": {
                                        "url": {"type": "string", "description": "As {url}."},
                                        "detail": {"description": "Accepted and ignored."},
                                    },
                                    "required": ["url"],
                                    "additionalProperties": False,
                                },
                            ],
                            "description": "As {url}.",
                        },
                    },
                    "required": ["image_url"],
                    "additionalProperties": False,
                },
            ],
            "description": "Data URI, base64, a path (`./…` or {path}) or a URL (`https://…`, {url} or {image_url}). "
            "At most <image_bytes> bytes and <image_pixels> pixels. Paths need IMAGE_FOLDER to be set, URLs "
            "IMAGE_URL_HOSTS.",
        }
    ),
]
