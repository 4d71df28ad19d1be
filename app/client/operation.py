"""What a client is asked to do, apart from how it is sent: requests as values, and how answers become results.

The seam between what is asked (`embeddings`, `batch`, `ranking`) and the two shells that send it.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import httpx
import orjson

from app.client.chunks import Chunk, Chunking
from app.client.failures import UnreadableAnswer, moved
from app.errors import PayloadTooLarge, ServiceError

T = TypeVar("T")
R = TypeVar("R")

NPY = "application/x-npy"


@dataclass(frozen=True, slots=True)
class Call:
    """One POST, as `httpx.Client.build_request` takes it. Attempts share it."""

    path: str
    content: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)
    form: dict[str, str] | None = None
    files: list[tuple[str, tuple[str, bytes | str, str]]] | None = None


class Operation(ABC, Generic[T, R]):
    """Items `T` in, one `R` out of each request, and one of all."""

    field: str
    """The request's field that holds the items."""

    unit: str
    """What they are called on a progress bar."""

    @property
    @abstractmethod
    def total(self) -> int:
        """How many items there are."""

    @abstractmethod
    def chunks(self, limits: Chunking) -> Iterator[Chunk[T]]:
        """May read files: not for an event loop's thread."""

    @abstractmethod
    def call(self, chunk: Chunk[T]) -> Call: ...

    @abstractmethod
    def read(self, response: httpx.Response, chunk: Chunk[T]) -> R:
        """A good answer; indices count from the first item of all.

        Raises:
            UnreadableAnswer: It is not what the service would say.
        """

    @abstractmethod
    def join(self, results: Sequence[R]) -> R:
        """The results of all chunks, in order."""

    def halves(self, chunk: Chunk[T], error: ServiceError) -> Sequence[Chunk[T]]:
        """What to send in place of a chunk that was too large as a whole: the service's limits are its own.

        Raises:
            ServiceError: The error given, its index counted from the first item of all, where that is no help.
        """
        whole = isinstance(error, PayloadTooLarge) and error.param in (None, self.field)
        if not whole or len(chunk.items) < 2:
            raise moved(error, self.field, chunk.start)
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
    """`what`: was found in place of a good answer."""
    error = UnreadableAnswer(f"{response.request.url.copy_with(query=None)} is not as this client knows it: {what}.")
    error.request_id = response.headers.get("x-request-id")
    return error
