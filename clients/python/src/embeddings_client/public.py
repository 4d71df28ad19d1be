"""What the package offers: `embeddings_client.NAME` is a name of this module."""

from embeddings_client.async_client import AsyncEmbeddingClient
from embeddings_client.batch import Batch, ItemResult
from embeddings_client.chunks import Chunking
from embeddings_client.embeddings import Embeddings, Images, Texts, TruncationWarning
from embeddings_client.errors import ServiceError
from embeddings_client.failures import TimedOut, Unreachable, UnreadableAnswer
from embeddings_client.ranking import Found, Ranked, Search, Similarity
from embeddings_client.retry import Retry
from embeddings_client.sync_client import EmbeddingClient
from embeddings_client.vectors import average_embeddings, find_similar

__all__ = [
    "AsyncEmbeddingClient",
    "Batch",
    "Chunking",
    "EmbeddingClient",
    "Embeddings",
    "Found",
    "Images",
    "ItemResult",
    "Ranked",
    "Retry",
    "Search",
    "ServiceError",
    "Similarity",
    "Texts",
    "TimedOut",
    "TruncationWarning",
    "Unreachable",
    "UnreadableAnswer",
    "average_embeddings",
    "find_similar",
]
