"""Voyage's multimodal API. Its texts go by OpenAI's."""

from typing import Annotated, Any, Literal

from pydantic import Field

from app.schemas.cohere import contents
from app.schemas.compatibility import CompatibleWire, Task
from app.schemas.openai import OpenAiEmbedding
from app.schemas.wire import Count, ModelName, SnakeWire
from app.types import OutputType


class VoyageMultimodalRequest(CompatibleWire):
    inputs: Annotated[Any, contents("1 to <texts> texts and images, as {content: [{type, text}]}.")]
    model: ModelName = None
    input_type: Task = None
    truncation: bool | None = Field(None, description="False: a text that is too long is an error.")
    encoding_format: Literal["float", "base64"] | None = Field(None, description="As in OpenAI's API.")
    output_encoding: Literal["base64"] | None = Field(None, description="The same, as older clients call it.")
    output_dtype: Literal[OutputType, "float"] | None = Field(None, description="As outputType of TextRequest.")
    output_dimension: Count | None = Field(None, description="Shorten vectors to this many numbers.")


class VoyageMultimodalResponse(SnakeWire):
    object: Literal["list"] = Field(description="Always this.")
    data: list[OpenAiEmbedding] = Field(description="One per input, in order.")
    model: str = Field(description="Full name of the model.")
    usage: dict[str, int] = Field(description="text_tokens, total_tokens (the same); pixels are not counted.")
