"""The Python client, sync and async, with numpy arrays in and out. It imports no server code."""

from app.client.async_client import AsyncEmbeddingClient
from app.client.batch import Batch, ItemResult
from app.client.chunks import Chunking
from app.client.embeddings import Embeddings, Images, Texts
from app.client.failures import TimedOut, Unreachable, UnreadableAnswer
from app.client.ranking import Found, Ranked, Search, Similarity
from app.client.retry import Retry
from app.client.sync_client import EmbeddingClient
from app.client.vectors import average_embeddings, find_similar

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
    "Similarity",
    "Texts",
    "TimedOut",
    "Unreachable",
    "UnreadableAnswer",
    "average_embeddings",
    "find_similar",
]
