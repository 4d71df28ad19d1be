"""The interface between the operations (`embeddings`, `batch`, `ranking`) and the two clients that send them.

An operation builds requests as values and turns responses into results. It does no I/O except reading image files.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence, Sized
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import httpx
import orjson

from embeddings_client.chunks import Chunk, Chunking
from embeddings_client.errors import PayloadTooLarge, ServiceError
from embeddings_client.failures import UnreadableAnswer, with_shifted_index
from embeddings_client.items import require_items

T = TypeVar("T")
R = TypeVar("R")

NPY = "application/x-npy"


@dataclass(frozen=True, slots=True)
class Call:
    """One POST, with the arguments of `httpx.Client.build_request`. All attempts share it."""

    path: str
    content: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)
    form: dict[str, str] | None = None
    files: list[tuple[str, tuple[str, bytes | str, str]]] | None = None


class Operation(ABC, Generic[T, R]):
    """Turns items `T` into requests, each response into an `R`, and all of these into one `R`."""

    field: str
    """The request field that holds the items."""

    unit: str
    """The unit of the progress bar."""

    def __post_init__(self) -> None:
        require_items(getattr(self, self.field), self.field)

    @property
    def total(self) -> int | None:
        """The number of items, if they are no iterator, which is read as requests are sent and only once."""
        items = getattr(self, self.field)
        return len(items) if isinstance(items, Sized) else None

    @abstractmethod
    def chunks(self, limits: Chunking) -> Iterator[Chunk[T]]:
        """May read files: do not call it in an event loop's thread."""

    @abstractmethod
    def call(self, chunk: Chunk[T]) -> Call: ...

    @abstractmethod
    def read(self, response: httpx.Response, chunk: Chunk[T]) -> R:
        """Read a successful response; indices are relative to all items.

        Raises:
            UnreadableAnswer: The response is not one of this service.
        """

    @abstractmethod
    def join(self, results: Sequence[R]) -> R:
        """Join the results of all chunks, in order."""

    def halves(self, chunk: Chunk[T], error: ServiceError) -> Sequence[Chunk[T]]:
        """Split a chunk that exceeded the service's limits, which may be lower than this client assumes, or what it can
        do in time.

        Raises:
            ServiceError: The given error, with its index relative to all items, if splitting does not help.
        """
        whole = (
            isinstance(error, PayloadTooLarge) and error.param in (None, self.field)
        ) or error.max_items is not None
        if not (whole or error.max_items) or len(chunk.items) < 2:
            raise with_shifted_index(error, self.field, chunk.start)
        return chunk.halves()


def json_of(response: httpx.Response) -> dict[str, Any]:
    """Raises UnreadableAnswer."""
    try:
        data = orjson.loads(response.content)
    except orjson.JSONDecodeError:
        data = None
    if not isinstance(data, dict):
        raise unreadable(response, "no JSON object")
    return data


def unreadable(response: httpx.Response, what: str) -> UnreadableAnswer:
    """`what`: describes the unexpected response."""
    url = response.request.url.copy_with(query=None)
    error = UnreadableAnswer(f"{url} sent a response that this client can't read: {what}.")
    error.request_id = response.headers.get("x-request-id")
    return error
