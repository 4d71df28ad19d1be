"""`/cache/warm`: vectors made elsewhere by the model that serves."""

from typing import Annotated

from pydantic import Field

from app.schemas.wire import ModelName, Text, Wire


class CacheWarmRequest(Wire):
    model: ModelName = None
    fingerprint: Annotated[
        str, Field(description="Of the model that made the vectors, as `/health` tells it; another is refused (409).")
    ]
    texts: Annotated[list[Text], Field(min_length=1, description="1 to <texts> texts.")]
    embeddings: Annotated[
        str,
        Field(
            description="Base64 of one row per text, float32, little-endian, end to end: the model's own output, "
            "not shortened and not rounded. Some rows are checked by embedding their texts."
        ),
    ]
    tokens: Annotated[list[Annotated[int, Field(ge=0, lt=2**32)]], Field(description="Token count of each text.")]
    truncated: list[Annotated[int, Field(ge=0)]] = Field(
        [], description="Indices of texts that were cut to what the model reads."
    )


class CacheWarmResponse(Wire):
    stored: int = Field(description="Entries that went into the shared cache.")
    checked: int = Field(description="Texts that were embedded to see whether their rows are the model's.")
    processing_time: float = Field(description="Milliseconds from the whole request to the answer.")
