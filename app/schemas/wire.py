"""What all wire models share. camelCase on the wire; requests refuse unknown fields, so that a misspelt option is
an error and not a silent default.

A description may name a limit as `<texts>`: the OpenAPI document puts the number of `app.config.args.Limits` there.
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
    """For the routes of other services' clients, whose fields are snake_case."""

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
        description="float32; int8, uint8: levels of 255 over the range that the answer states, what is beyond it "
        "cut off; binary, ubinary: the signs, 8 to a byte (dimensions must divide by 8), as int8 or uint8."
    ),
]
PromptName = Annotated[
    str | None,
    Field(description="One of the model's prompts by name, put before every text in place of its default prompt."),
]
Purpose = Annotated[
    InputType | None,
    Field(description="query or document: the model's prompt for it, if it has one. A prompt name goes before it."),
]


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


# 5.0 is an integer to JSON Schema, and to the clients made of it.
Whole = BeforeValidator(_whole)
Count = Annotated[int, Field(ge=1), Whole]

# Read by numpy, which says in words what does not fit.
FLOAT32: Final = 3.4028234663852886e38
Float32 = Annotated[float, Field(ge=-FLOAT32, le=FLOAT32)]

# Checked by `app.images.sources`, which says in words what an image may be.
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
                    "description": "As OpenAI's API has it.",
                    "properties": {
                        "type": {"const": "image_url", "description": "Always this."},
                        "image_url": {
                            "anyOf": [
                                {"type": "string"},
                                {
                                    "type": "object",
                                    "properties": {
                                        "url": {"type": "string", "description": "As {url}."},
                                        "detail": {"description": "Taken and not used."},
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
