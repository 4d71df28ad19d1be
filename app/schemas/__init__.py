"""The wire models of all requests and responses. Times are in milliseconds.

Limits come from the settings (`Limits`) and are checked by the code that does the work.
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
    HealthSummary,
    LiveResponse,
    ModelHealth,
    ReadyResponse,
)
from app.schemas.search import SearchItem, SearchRequest, SearchRequestOptions, SearchResponse
from app.schemas.similarity import (
    MatrixOptions,
    Ranked,
    SimilarityOptions,
    SimilarityRequest,
    SimilarityResponse,
    SpacedOptions,
)
from app.schemas.tei import (
    TeiEmbedRequest,
    TeiEmbedResponse,
    TeiErrorResponse,
    TeiInfo,
    TeiTokenizeRequest,
    TeiTokenizeResponse,
)
from app.schemas.warming import CacheWarmRequest, CacheWarmResponse
from app.schemas.wire import (
    Float32,
    ImageEntry,
    Json,
    ModelName,
    Normalize,
    Output,
    PromptName,
    Purpose,
    SnakeWire,
    Text,
    Wire,
)

__all__ = [
    "BatchItem",
    "BatchItemResult",
    "BatchRequest",
    "BatchResponse",
    "CacheClearRequest",
    "CacheClearResponse",
    "CacheHealth",
    "CacheStatsResponse",
    "CacheWarmRequest",
    "CacheWarmResponse",
    "EmbeddingsResponse",
    "ErrorBody",
    "ErrorResponse",
    "Float32",
    "HealthResponse",
    "HealthSummary",
    "ImageEntry",
    "ImageRequest",
    "ItemError",
    "Json",
    "LiveResponse",
    "MatrixOptions",
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
    "SearchRequest",
    "SearchRequestOptions",
    "SearchResponse",
    "SimilarityOptions",
    "SimilarityRequest",
    "SimilarityResponse",
    "SnakeWire",
    "SpacedOptions",
    "TeiEmbedRequest",
    "TeiEmbedResponse",
    "TeiErrorResponse",
    "TeiInfo",
    "TeiTokenizeRequest",
    "TeiTokenizeResponse",
    "Text",
    "TextRequest",
    "Usage",
    "Wire",
]
