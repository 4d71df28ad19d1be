"""The wire models: one definition of every request and response. Times are milliseconds.

What a limit is comes from the settings (`Limits`) and is checked where the work is done.
"""

from app.schemas.batch import BatchItem, BatchItemResult, BatchRequest, BatchResponse, ItemError
from app.schemas.embeddings import EmbeddingsResponse, ImageRequest, TextRequest, Usage
from app.schemas.error import ErrorBody, ErrorResponse
from app.schemas.openai import (
    OpenAiEmbeddingRequest,
    OpenAiEmbeddingResponse,
    OpenAiErrorResponse,
    OpenAiModel,
    OpenAiModels,
)
from app.schemas.operations import (
    CacheClearRequest,
    CacheClearResponse,
    CacheHealth,
    CacheStatsResponse,
    HealthResponse,
    LiveResponse,
    ModelHealth,
    ReadyResponse,
)
from app.schemas.search import SearchItem, SearchOptions, SearchRequest, SearchResponse
from app.schemas.similarity import Ranked, SimilarityOptions, SimilarityRequest, SimilarityResponse, SpacedOptions
from app.schemas.wire import ImageEntry, Json, ModelName, Normalize, Output, PromptName, Purpose, SnakeWire, Text, Wire

__all__ = [
    "BatchItem",
    "BatchItemResult",
    "BatchRequest",
    "BatchResponse",
    "CacheClearRequest",
    "CacheClearResponse",
    "CacheHealth",
    "CacheStatsResponse",
    "EmbeddingsResponse",
    "ErrorBody",
    "ErrorResponse",
    "HealthResponse",
    "ImageEntry",
    "ImageRequest",
    "ItemError",
    "Json",
    "LiveResponse",
    "ModelHealth",
    "ModelName",
    "Normalize",
    "OpenAiEmbeddingRequest",
    "OpenAiEmbeddingResponse",
    "OpenAiErrorResponse",
    "OpenAiModel",
    "OpenAiModels",
    "Output",
    "PromptName",
    "Purpose",
    "Ranked",
    "ReadyResponse",
    "SearchItem",
    "SearchOptions",
    "SearchRequest",
    "SearchResponse",
    "SimilarityOptions",
    "SimilarityRequest",
    "SimilarityResponse",
    "SnakeWire",
    "SpacedOptions",
    "Text",
    "TextRequest",
    "Usage",
    "Wire",
]
