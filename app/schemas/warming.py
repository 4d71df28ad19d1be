"""`/cache/warm`: stores vectors that the served model has computed elsewhere."""

from typing import Annotated

from pydantic import Field

from app.schemas.wire import ModelName, Text, Wire


class CacheWarmRequest(Wire):
    model: ModelName = None
    fingerprint: Annotated[
        str, Field(description="The fingerprint of the vectors' model, see `/health`; 409 if it is not the served one.")
    ]
    texts: Annotated[list[Text], Field(min_length=1, description="1 to <texts> texts.")]
    embeddings: Annotated[
        str,
        Field(
            description="Base64 of one row per text, concatenated, float32, little-endian: the model's own output, "
            "not shortened and not rounded. A sample of the rows is verified by embedding their texts."
        ),
    ]
    tokens: Annotated[list[Annotated[int, Field(ge=0, lt=2**32)]], Field(description="Token count of each text.")]
    truncated: list[Annotated[int, Field(ge=0)]] = Field(
        [], description="Indices of texts that were truncated to the model's maximum length."
    )


class CacheWarmResponse(Wire):
    stored: int = Field(description="Entries stored in the shared cache.")
    checked: int = Field(description="Texts that were embedded to verify their rows.")
    processing_time: float = Field(description="Milliseconds from receiving the whole request to the response.")
